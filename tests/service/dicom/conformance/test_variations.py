"""What the variations should show, worked out by hand, is what DCMTK shows of the same files."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.factories import encode
from tests.service.dicom.conformance.pairs import Combination, all_pairs
from tests.service.dicom.conformance.variations import AXES, allowed, shades, wrap

pytestmark = pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="DCMTK is not installed")

VOI = {"none": ["+Wm"], "SIGMOID": ["+Wi", "1", "+Wfs"]} | {f"VOI LUT of {bits} bits": ["+Wl", "1"] for bits in (8, 16)}


def shown_alike(chosen: Combination) -> bool:
    """DCMTK 3.6.7 knows no LINEAR_EXACT, rounds what a rescale gives to whole numbers, and draws padding."""
    return chosen["VOI"] != "LINEAR_EXACT" and chosen["modality"] != "slope 0.25" and chosen["padding"] == "none"


FILES = [chosen for chosen in all_pairs(AXES, allowed) if shown_alike(chosen)]


@pytest.mark.parametrize("chosen", FILES, ids=lambda chosen: "-".join(chosen.values()).replace(" ", "_"))
def test_dcmtk_shows_the_same(chosen: Combination, tmp_path: Path) -> None:
    source, target = tmp_path / "in.dcm", tmp_path / "out.pgm"
    source.write_bytes(encode(wrap(chosen)))
    command = ["dcm2pnm", *VOI.get(chosen["VOI"], ["+Wi", "1"]), "+opw", source, target]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with Image.open(target) as image:
        seen = np.asarray(image, np.float64) / 65535

    grey = 255 if chosen["VOI"] == "VOI LUT of 8 bits" else 65535 / 2  # DCMTK spreads 8 bits over 16 in its own way
    assert np.abs(seen - shades(chosen)).max() <= 1 / grey


def test_what_dcmtk_shows_is_not_a_few() -> None:
    axes = ("VOI", "Photometric Interpretation", "Presentation LUT Shape", "modality", "Pixel Representation")
    met = {axis: {chosen[axis] for chosen in FILES} for axis in axes}
    assert met["VOI"] == set(AXES["VOI"]) - {"LINEAR_EXACT"}
    assert met["modality"] == set(AXES["modality"]) - {"slope 0.25"}
    assert all(met[axis] == set(AXES[axis]) for axis in axes if axis not in ("VOI", "modality"))

"""The expected display values of the variations, worked out by hand, are those of DCMTK."""

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


def shown_by_dcmtk(chosen: Combination) -> bool:
    """DCMTK 3.6.7 does not know LINEAR_EXACT, rounds rescaled values to whole numbers, and draws padding."""
    return chosen["VOI"] != "LINEAR_EXACT" and chosen["modality"] != "slope 0.25" and chosen["padding"] == "none"


FILES = [chosen for chosen in all_pairs(AXES, allowed) if shown_by_dcmtk(chosen)]


@pytest.mark.parametrize("chosen", FILES, ids=lambda chosen: "-".join(chosen.values()).replace(" ", "_"))
def test_dcmtk_shows_the_same(chosen: Combination, tmp_path: Path) -> None:
    source, target = tmp_path / "in.dcm", tmp_path / "out.pgm"
    source.write_bytes(encode(wrap(chosen)))
    command = ["dcm2pnm", *VOI.get(chosen["VOI"], ["+Wi", "1"]), "+opw", source, target]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with Image.open(target) as image:
        greys = np.asarray(image, np.float64) / 65535

    levels = 255 if chosen["VOI"] == "VOI LUT of 8 bits" else 65535 / 2  # DCMTK scales 8 bits to 16 in its own way
    assert np.abs(greys - shades(chosen)).max() <= 1 / levels


def test_dcmtk_shows_nearly_all_values_of_the_axes() -> None:
    axes = ("VOI", "Photometric Interpretation", "Presentation LUT Shape", "modality", "Pixel Representation")
    covered = {axis: {chosen[axis] for chosen in FILES} for axis in axes}
    assert covered["VOI"] == set(AXES["VOI"]) - {"LINEAR_EXACT"}
    assert covered["modality"] == set(AXES["modality"]) - {"slope 0.25"}
    assert all(covered[axis] == set(AXES[axis]) for axis in axes if axis not in ("VOI", "modality"))

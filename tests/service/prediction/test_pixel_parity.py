"""One image as it was trained on and as a scanner would send it: the same canvas, the same probabilities."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.artefact.file import load
from service.dicom.canvas import Rule, canvas, grey_values
from service.dicom.radiograph import radiograph
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from tests.factories import dicom_bytes

pytestmark = pytest.mark.realdata

Wrap = Callable[[np.ndarray], bytes]

IMAGES = 20
TOLERANCE = 1e-3  # of a probability


@pytest.fixture(scope="module")
def paths(realdata: Path) -> list[Path]:
    """Every so many-th, so that patients, views and findings differ."""
    every = sorted((realdata / "nih-subset" / "images").iterdir())
    return every[:: len(every) // IMAGES][:IMAGES]


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(load(SHIPPED_ARTEFACT, None), "cpu", 1)


def as_8_bits(grey: np.ndarray) -> bytes:
    """Wrap [H, W] uint8 as it is, without a window."""
    return dicom_bytes(grey)


def as_12_bits(grey: np.ndarray) -> bytes:
    """Wrap [H, W] uint8 sixteen times as large, under the window from the least to the largest of these."""
    return dicom_bytes(grey.astype(np.uint16) * 16, WindowCenter=2040.5, WindowWidth=4081)  # PS3.3 C.11.2.1.2.1


def as_12_bits_rounded(grey: np.ndarray) -> bytes:
    """Spread [H, W] uint8 over all of 12 bits: each value is off by up to half a step."""
    return dicom_bytes(np.rint(grey * (4095 / 255)).astype(np.uint16))


@pytest.mark.parametrize("wrap", [as_8_bits, as_12_bits, as_12_bits_rounded])
def test_a_file_gives_the_canvas_of_its_image(paths: list[Path], wrap: Wrap) -> None:
    for path in paths:
        trained_on, served = canvases(path, wrap, 896, "stretch")

        assert np.abs(served - trained_on).max() <= 1 / 255


# Not of the rounded one: it is another image by half a step of 12 bits, and the box, which follows the heat map,
# carries such a difference on to the local branch.
@pytest.mark.parametrize("wrap", [as_8_bits, as_12_bits])
def test_a_file_gives_the_probabilities_of_its_image(session: Session, paths: list[Path], wrap: Wrap) -> None:
    preprocessing = session.artefact.card.preprocessing
    assert len(paths) == IMAGES
    for path in paths:
        both = canvases(path, wrap, preprocessing.canvas_size, preprocessing.resize)

        wanted, got = (session.run(canvas[None])[0] for canvas in both)
        off = [np.abs(getattr(got, name) - getattr(wanted, name)).max() for name in ("fusion", "global_", "local")]
        assert max(off) <= TOLERANCE, (path.name, off)


def canvases(path: Path, wrap: Wrap, size: int, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """What training makes of an image, and what the service makes of it, wrapped."""
    values = grey_values(path)
    sent = radiograph(wrap(np.rint(values * 255).astype(np.uint8)))
    return canvas(values, size, rule), canvas(sent.values, size, rule, sent.header.aspect)

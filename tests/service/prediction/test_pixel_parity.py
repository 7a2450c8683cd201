"""An image as training reads it and as a scanner would send it gives the same canvas and the same probabilities."""

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
TOLERANCE = 1e-3  # difference of probabilities


@pytest.fixture(scope="module")
def paths(realdata: Path) -> list[Path]:
    """Return images at equal distances in the subset, so that patients, views and findings differ."""
    images = sorted((realdata / "nih-subset" / "images").iterdir())
    return images[:: len(images) // IMAGES][:IMAGES]


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(load(SHIPPED_ARTEFACT, None), "cpu", 1)


def as_8_bits(grey: np.ndarray) -> bytes:
    """Wrap `[H, W] uint8` unchanged, without a window."""
    return dicom_bytes(grey)


def as_12_bits(grey: np.ndarray) -> bytes:
    """Wrap `[H, W] uint8` multiplied by 16, with the window from 0 to 4080."""
    return dicom_bytes(grey.astype(np.uint16) * 16, WindowCenter=2040.5, WindowWidth=4081)  # PS3.3 C.11.2.1.2.1


def as_12_bits_rounded(grey: np.ndarray) -> bytes:
    """Scale `[H, W] uint8` to all of 12 bits; rounding changes each value by up to half a step."""
    return dicom_bytes(np.rint(grey * (4095 / 255)).astype(np.uint16))


@pytest.mark.parametrize("wrap", [as_8_bits, as_12_bits, as_12_bits_rounded])
def test_a_file_gives_the_canvas_of_its_image(paths: list[Path], wrap: Wrap) -> None:
    for path in paths:
        trained, served = canvases(path, wrap, 896, "stretch")

        assert np.abs(served - trained).max() <= 1 / 255


# Without `as_12_bits_rounded`: its image differs by half a step of 12 bits, and the box, which follows the heat map,
# passes such a difference on to the local branch.
@pytest.mark.parametrize("wrap", [as_8_bits, as_12_bits])
def test_a_file_gives_the_probabilities_of_its_image(session: Session, paths: list[Path], wrap: Wrap) -> None:
    preprocessing = session.artefact.card.preprocessing
    assert len(paths) == IMAGES
    for path in paths:
        pair = canvases(path, wrap, preprocessing.canvas_size, preprocessing.resize)

        trained, served = (session.run(canvas[None])[0] for canvas in pair)
        branches = [name for name in ("fusion", "global_", "local") if getattr(trained, name) is not None]
        differences = [np.abs(getattr(served, name) - getattr(trained, name)).max() for name in branches]
        assert max(differences) <= TOLERANCE, (path.name, differences)


def canvases(path: Path, wrap: Wrap, size: int, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Return the canvas of an image in training, and that of its DICOM file in the service."""
    values = grey_values(path)
    served = radiograph(wrap(np.rint(values * 255).astype(np.uint8)))
    return canvas(values, size, rule), canvas(served.values, size, rule, served.header.aspect)

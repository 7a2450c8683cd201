from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.dicom.reader import Bounds
from service.prediction.jobs import prepare
from tests.factories import dicom_bytes, noise, ramp
from training.data.pixel_path import read_canvas
from training.errors import TrainingError
from training.phantom.dicom import Encoding, write_dicom
from training.phantom.film import phantom


@pytest.mark.parametrize("encoding", [Encoding(), Encoding("MONOCHROME1", compressed=True)])
def test_a_dicom_file_is_the_canvas_that_is_served(tmp_path: Path, encoding: Encoding) -> None:
    data = write_dicom(phantom(3, 0, (288, 256)), 3, encoding)
    (tmp_path / "image").write_bytes(data)  # files from a scanner often have no suffix
    served = prepare(data, Bounds(), 96, "stretch").canvas
    np.testing.assert_array_equal(read_canvas(tmp_path / "image", 96, "image"), served)


def test_a_16_bit_picture_and_the_dicom_file_of_it_meet(tmp_path: Path) -> None:
    values = ramp(256, 256, 16)
    Image.fromarray(values).save(tmp_path / "a.PNG")
    window = {"WindowCenter": 32768, "WindowWidth": 65536}
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(values, BitsStored=16, HighBit=15, **window))
    picture, file = (read_canvas(tmp_path / name, 64, name) for name in ("a.PNG", "a.dcm"))
    np.testing.assert_allclose(picture, file, atol=1e-4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            dicom_bytes(noise(256, 256), Modality="CT", ViewPosition="LL"),
            r"^x\.dcm: modality_unsuitable, view_unsuitable \(",
        ),
        (dicom_bytes(noise(256, 256))[:-9], r"^x\.dcm: truncated \("),
        (b"no image", r"^x\.dcm: not_dicom \("),
    ],
)
def test_what_the_service_refuses_is_named_with_its_codes(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.dcm").write_bytes(data)
    with pytest.raises(TrainingError, match=message) as caught:
        read_canvas(tmp_path / "x.dcm", 32, "x.dcm")
    assert "Tweety" not in str(caught.value)


def test_a_colour_picture_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.arange(3 * 256, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 3)).save(tmp_path / "c.png")
    with pytest.raises(TrainingError, match=r"^c\.png: colour_image"):
        read_canvas(tmp_path / "c.png", 32, "c.png")


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^gone: No such file"):
        read_canvas(tmp_path / "gone", 32, "gone")

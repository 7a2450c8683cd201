from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.dicom.canvas import grey_values
from service.dicom.plain_picture import as_chest
from service.dicom.radiograph import radiograph
from service.dicom.reader import Bounds
from service.errors import TooLarge, TriageError
from tests.factories import noise


def picture(image: Image.Image, form: str = "PNG") -> bytes:
    stream = BytesIO()
    image.save(stream, form)
    return stream.getvalue()


@pytest.mark.parametrize(("form", "bits"), [("PNG", 8), ("PNG", 16), ("JPEG", 8)])
def test_it_has_the_display_values_that_training_reads(tmp_path: Path, form: str, bits: int) -> None:
    file = tmp_path / "chest"
    file.write_bytes(picture(Image.fromarray(noise(301, 257, bits)), form))

    image = radiograph(as_chest(file.read_bytes(), Bounds()))

    assert np.abs(image.values - grey_values(file)).max() < 1e-6
    assert image.header.flags[:2] == ("body_part_missing", "view_position_missing")


def test_one_picture_has_one_identity() -> None:
    one, other = (picture(Image.fromarray(noise(bits=8, seed=seed))) for seed in (0, 1))

    assert as_chest(one, Bounds()) == as_chest(one, Bounds())
    assert radiograph(as_chest(one, Bounds())).header.sop_instance_uid != (
        radiograph(as_chest(other, Bounds())).header.sop_instance_uid
    )


def test_a_jpeg_that_says_that_it_lies_on_its_side_is_turned() -> None:
    stream, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees clockwise
    Image.fromarray(noise(300, 400, 8)).save(stream, "JPEG", exif=exif)

    header = radiograph(as_chest(stream.getvalue(), Bounds())).header

    assert (header.height, header.width) == (400, 300)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (picture(Image.new("RGB", (300, 300), "red")), "colour_image"),
        (picture(Image.fromarray(noise(bits=8)))[:500], "image_unreadable"),
        (picture(Image.fromarray(noise(bits=8)), "GIF"), "image_unreadable"),
    ],
)
def test_other_pictures_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(TriageError) as refusal:
        as_chest(data, Bounds())
    assert refusal.value.code == code


def test_a_picture_over_the_limit_is_not_decoded() -> None:
    with pytest.raises(TooLarge):
        as_chest(picture(Image.new("L", (300, 300)))[:60], Bounds(max_pixels=300 * 299))

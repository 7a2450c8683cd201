from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from service.dicom.radiograph import radiograph
from service.objects.overlay import overlay_png
from tests.service.objects.rendered import FAULTY, HEIGHT, WIDTH, parsed, record, rendered


def test_it_is_the_overlay() -> None:
    dataset = parsed(rendered("secondary_capture"))
    view = np.rint(radiograph(FAULTY["sound"]).values * 255).astype(np.uint8)
    made_of = record()

    assert (dataset.PhotometricInterpretation, dataset.SamplesPerPixel) == ("RGB", 3)
    assert dataset.pixel_array.shape == (HEIGHT, WIDTH, 3)
    picture = np.asarray(Image.open(BytesIO(overlay_png(view, made_of.heat_map, made_of.prediction.box))))
    np.testing.assert_array_equal(dataset.pixel_array, picture)


def test_it_states_that_it_is_research_and_that_text_is_burned_in() -> None:
    dataset = parsed(rendered("secondary_capture"))

    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (dataset.ContentQualification, dataset.BurnedInAnnotation) == ("RESEARCH", "YES")
    assert (dataset.ConversionType, list(dataset.ImageType)) == ("WSD", ["DERIVED", "SECONDARY"])


def test_the_notice_is_in_the_pixels() -> None:
    """White letters in the lower left corner of a black radiograph."""
    dark = np.zeros((7, 7), np.float32)
    black = FAULTY["white is low"]

    pixels = parsed(rendered("secondary_capture", black, record(heat_map=dark))).pixel_array
    grey = np.rint(radiograph(black).values * 255).astype(np.uint8)

    corner = np.s_[-14:-3, 4:120]
    changed = np.any(pixels[corner] != grey[corner][..., None], axis=-1)
    assert changed.mean() > 0.9
    assert len(np.unique(pixels[corner])) > 10


@pytest.mark.parametrize(
    ("fault", "spacing", "aspect"),
    [
        ("sound", None, None),
        ("oblong pixels", None, [2, 1]),
        ("oblong in the patient", [0.28, 0.14], None),
        ("zero spacing", None, None),
        ("spacing of one", None, None),
    ],
)
def test_pixels_keep_their_shape(fault: str, spacing: list[float] | None, aspect: list[int] | None) -> None:
    dataset = parsed(rendered("secondary_capture", FAULTY[fault]))

    assert dataset.get("PixelSpacing") == spacing
    assert dataset.get("PixelAspectRatio") == aspect


@pytest.mark.parametrize(
    ("fault", "expected"), [("sound", ["L", "F"]), ("turned", None), ("half an orientation", None)]
)
def test_a_valid_orientation_is_copied(fault: str, expected: list[str] | None) -> None:
    orientation = parsed(rendered("secondary_capture", FAULTY[fault])).PatientOrientation

    assert (list(orientation) if orientation else None) == expected


def test_it_refers_to_the_radiograph() -> None:
    (item,) = parsed(rendered("secondary_capture")).SourceImageSequence

    assert item.ReferencedSOPInstanceUID == "2.25.1003"

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from service.dicom.radiograph import radiograph
from service.objects.drawing import Drawing, draw
from tests.service.objects.rendered import FAULTY, HEIGHT, WIDTH, parsed, record, rendered


def test_it_is_the_overlay() -> None:
    dataset = parsed(rendered("secondary_capture"))
    view = np.rint(radiograph(FAULTY["sound"]).values * 255).astype(np.uint8)

    assert (dataset.PhotometricInterpretation, dataset.SamplesPerPixel) == ("RGB", 3)
    picture = np.asarray(Image.open(BytesIO(draw(record(), Drawing())(view))))
    np.testing.assert_array_equal(dataset.pixel_array, picture)
    assert picture.shape[0] > HEIGHT
    assert picture.shape[1] == WIDTH


def test_where_nothing_is_positive_it_is_the_radiograph_above_its_legend() -> None:
    negative = tuple(replace(finding, positive=None) for finding in record().prediction.findings)

    dataset = parsed(rendered("secondary_capture", made_from=record(findings=negative, reason=(), priority="ROUTINE")))

    view = np.rint(radiograph(FAULTY["sound"]).values * 255).astype(np.uint8)
    np.testing.assert_array_equal(dataset.pixel_array[:HEIGHT], np.repeat(view[..., None], 3, 2))


def test_it_states_that_it_is_research_and_that_text_is_burned_in() -> None:
    dataset = parsed(rendered("secondary_capture"))

    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (dataset.ContentQualification, dataset.BurnedInAnnotation) == ("RESEARCH", "YES")
    assert (dataset.ConversionType, list(dataset.ImageType)) == ("WSD", ["DERIVED", "SECONDARY"])


def test_the_notice_is_in_the_pixels_below_the_radiograph() -> None:
    pixels = parsed(rendered("secondary_capture")).pixel_array
    assert (pixels[HEIGHT:, :120] > 200).any()
    assert len(np.unique(pixels[HEIGHT:, :120])) > 10


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

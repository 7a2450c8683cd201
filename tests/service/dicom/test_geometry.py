import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.dicom.geometry import geometry
from service.errors import MalformedDicom
from tests.factories import chest, ramp


def header(**elements) -> Dataset:
    """A data set with text elements as a file has them, unchecked."""
    dataset = chest(ramp(4, 4))
    for keyword, value in elements.items():
        data = value.encode().ljust(len(value) + len(value) % 2)
        vr = "CS" if keyword == "PatientOrientation" else "DS"
        dataset[keyword] = RawDataElement(Tag(keyword), vr, len(data), data, 0, False, True)
    return dataset


@pytest.mark.parametrize(
    ("elements", "aspect", "ratio"),
    [
        ({}, 1.0, (1, 1)),
        ({"PixelAspectRatio": r"2\1"}, 2.0, (2, 1)),
        ({"PixelAspectRatio": r"4\2"}, 2.0, (2, 1)),
        ({"ImagerPixelSpacing": r"0.1\0.2"}, 0.5, (1, 2)),
        ({"ImagerPixelSpacing": r"0.1\0.15"}, 2 / 3, (2, 3)),
        ({"ImagerPixelSpacing": r"0.14\0.14"}, 1.0, (1, 1)),
        ({"ImagerPixelSpacing": r"0\0", "PixelSpacing": r"0.3\0.1"}, 3.0, (3, 1)),
        ({"PixelSpacing": r"0.3\0.2"}, 1.5, (3, 2)),
        ({"PixelAspectRatio": r"2\1", "PixelSpacing": r"0.3\0.2"}, 2.0, (2, 1)),
        ({"PixelSpacing": r"0\0"}, 1.0, (1, 1)),
        ({"PixelSpacing": r"-1\1"}, 1.0, (1, 1)),
        ({"PixelSpacing": "0.2"}, 1.0, (1, 1)),
        ({"PixelSpacing": r"100\0.1"}, 1.0, (1, 1)),
        ({"PixelAspectRatio": "1", "PixelSpacing": r"0.3\0.2"}, 1.5, (3, 2)),
        ({"PixelAspectRatio": r"1000\1"}, 1.0, (1, 1)),
        ({"NominalScannedPixelSpacing": r"0.3\0.1"}, 1.0, (1, 1)),
    ],
)
def test_the_aspect_is_the_first_plausible_one(elements, aspect, ratio):
    grid = geometry(header(**elements))
    assert grid.aspect == pytest.approx(aspect)
    assert grid.ratio == ratio


@pytest.mark.parametrize("value", ["nan\\1", "wide\\1"])
@pytest.mark.parametrize("keyword", ["PixelAspectRatio", "ImagerPixelSpacing", "PixelSpacing"])
def test_an_aspect_that_is_no_number_is_refused(keyword, value):
    with pytest.raises(MalformedDicom, match=keyword):
        geometry(header(**{keyword: value}))


@pytest.mark.parametrize(
    ("elements", "spacing", "keyword"),
    [
        ({}, None, None),
        ({"ImagerPixelSpacing": r"0.2\0.1"}, (0.2, 0.1), "ImagerPixelSpacing"),
        ({"ImagerPixelSpacing": r"0.2\0.1", "PixelSpacing": r"0.15\0.16"}, (0.15, 0.16), "PixelSpacing"),
        ({"ImagerPixelSpacing": r"0.2\0.1", "PixelSpacing": r"0.2\0.1"}, (0.2, 0.1), "ImagerPixelSpacing"),
        ({"ImagerPixelSpacing": r"0.2\0.1", "PixelSpacing": r"0.20000001\0.1"}, (0.2, 0.1), "ImagerPixelSpacing"),
        ({"PixelSpacing": r"0.2\0.1"}, (0.2, 0.1), "PixelSpacing"),
        ({"NominalScannedPixelSpacing": r"0.3\0.3"}, (0.3, 0.3), "NominalScannedPixelSpacing"),
        ({"PixelSpacing": r"0\0.1"}, None, None),
        ({"PixelSpacing": "0.1"}, None, None),
        ({"NominalScannedPixelSpacing": r"nan\1"}, None, None),
        ({"PixelAspectRatio": r"1\1", "PixelSpacing": r"wide\1"}, None, None),  # the aspect does not depend on it
    ],
)
def test_the_spacing_and_the_attribute_that_states_it(elements, spacing, keyword):
    grid = geometry(header(**elements))
    assert (grid.spacing, grid.spacing_from) == (spacing, keyword)


@pytest.mark.parametrize(
    ("value", "orientation"),
    [
        (r"L\F", ("L", "F")),
        (r"l\f", ("L", "F")),
        (r"l\fr", ("L", "FR")),
        (r"LH\FP", ("LH", "FP")),
        (r"LHA\FPR", ("LHA", "FPR")),
        ("L", None),
        (r"L\F\H", None),
        ("", None),
        (r"L\ ", None),
        (r"LR\F", None),
        (r"LAP\F", None),
        (r"LFR\F", None),
        (r"LL\F", None),
        (r"LEFT\DOWN", None),
        (r"<B>\F", None),
    ],
)
def test_an_orientation_is_valid_or_absent(value, orientation):
    """PS3.3 C.7.6.1.1.1: capitals, and no two directions of one axis of the body."""
    assert geometry(header(PatientOrientation=value)).orientation == orientation

import pytest
from pydicom import Dataset

from service.dicom.reader import read
from service.objects.source import aspect, orientation, source_of, spacing
from tests.service.objects.rendered import FAULTY, item, source

DX, CR = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1"


@pytest.mark.parametrize(
    ("elements", "wanted"),
    [
        ({"SOPClassUID": CR}, CR),
        ({"SOPClassUID": "1.2.3.4.5"}, "1.2.3.4.5"),
        ({"SOPClassUID": None}, DX),
        ({"SOPClassUID": None, "Modality": "CR"}, CR),
    ],
)
def test_the_true_class_is_kept_and_highdicom_is_shown_one_it_knows(elements: dict[str, str], wanted: str) -> None:
    seen = source_of(read(source(**elements)))

    assert (seen.sop_class_uid, seen.header.SOPClassUID) == (wanted, DX)


def test_what_must_be_there_is_there_though_it_is_empty() -> None:
    header = source_of(read(FAULTY["nobody"])).header

    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        assert keyword in header
        assert not header[keyword].value


def test_the_study_is_patient_and_study_and_nothing_of_the_image() -> None:
    study = source_of(read(FAULTY["sound"])).study

    assert study.PatientID == "CANARY-17"
    assert study.StudyDescription == "Thorax p.a."
    assert not {"SOPInstanceUID", "SeriesInstanceUID", "Rows", "PixelData", "WindowCenter"} & set(study.dir())


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (["L", "F"], ["L", "F"]),
        (["l", "fr"], ["L", "FR"]),
        (["L"], []),
        (["LEFT", "DOWN"], []),
        (["LR", "F"], []),
        ("", []),
    ],
)
def test_an_orientation_is_one_or_nothing(value: list[str] | str, wanted: list[str]) -> None:
    assert orientation(item(PatientOrientation=value)) == wanted


@pytest.mark.parametrize(
    ("elements", "wanted"),
    [
        ({"PixelAspectRatio": [2, 1]}, (2, 1)),
        ({"PixelAspectRatio": [4, 2]}, (2, 1)),
        ({"ImagerPixelSpacing": [0.1, 0.15]}, (2, 3)),
        ({"ImagerPixelSpacing": [0.14, 0.14]}, None),
        ({"ImagerPixelSpacing": [0, 0], "PixelSpacing": [0.3, 0.1]}, (3, 1)),
        ({"PixelSpacing": [100, 0.1]}, None),
        ({}, None),
    ],
)
def test_the_shape_of_a_pixel(elements: dict[str, list[float]], wanted: tuple[int, int] | None) -> None:
    assert aspect(item(**elements)) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"), [([0.2, 0.1], (0.2, 0.1)), ([0, 0], None), ([0.2], None), ([-1, 1], None), ("", None)]
)
def test_a_spacing_is_a_pair_of_lengths_or_nothing(
    value: list[float] | str, wanted: tuple[float, float] | None
) -> None:
    dataset: Dataset = item(PixelSpacing=value)

    assert spacing(dataset, "PixelSpacing") == wanted

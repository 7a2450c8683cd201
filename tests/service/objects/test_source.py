import pytest

from service.dicom.reader import read
from service.objects.source import source_of
from tests.service.objects.rendered import FAULTY, source

DX, CR = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"SOPClassUID": CR}, CR),
        ({"SOPClassUID": "1.2.3.4.5"}, "1.2.3.4.5"),
        ({"SOPClassUID": None}, DX),
        ({"SOPClassUID": None, "Modality": "CR"}, CR),
    ],
)
def test_the_true_class_is_kept_and_highdicom_gets_one_that_it_knows(elements: dict[str, str], expected: str) -> None:
    result = source_of(read(source(**elements)))

    assert (result.sop_class_uid, result.header.SOPClassUID) == (expected, DX)


def test_required_attributes_are_there_even_if_empty() -> None:
    header = source_of(read(FAULTY["nobody"])).header

    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        assert keyword in header
        assert not header[keyword].value


def test_the_study_holds_patient_and_study_and_no_attribute_of_the_image() -> None:
    study = source_of(read(FAULTY["sound"])).study

    assert study.PatientID == "CANARY-17"
    assert study.StudyDescription == "Thorax p.a."
    assert not {"SOPInstanceUID", "SeriesInstanceUID", "Rows", "PixelData", "WindowCenter"} & set(study.dir())

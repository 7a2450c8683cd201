from typing import Any

import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR

from service.dicom.header import first_word, normalised, readable_values
from tests.service.objects.rendered import item


def holding(keyword: str, value: Any) -> Dataset:
    dataset = Dataset()
    dataset[keyword] = DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE)
    return dataset


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("StudyDate", "20250305", "20250305"),
        ("StudyDate", "2025.03.05", "20250305"),
        ("StudyDate", "20250230", None),
        ("StudyDate", "yesterday", None),
        ("StudyTime", "221500", "221500"),
        ("StudyTime", "22:15:00", "221500"),
        ("StudyTime", "221500.5", "221500.5"),
        ("StudyTime", "256199", None),
        ("PatientSex", "f", "F"),
        ("PatientSex", "Male", "M"),
        ("PatientSex", "?", None),
        ("PatientName", "a^b^c^d^e^f", "a^b^c^d^e"),
        ("PatientName", "a=b=c=d", "a=b=c"),
        ("PatientName", "x" * 70, "x" * 64),
        ("ReferringPhysicianName", ["a^b", "c^d"], "a^b c^d"),
        ("PatientID", "7\n7", "7 7"),
        ("PatientID", ["A", "B"], "A B"),
        ("AccessionNumber", "A" * 40, "A" * 40),
        ("PatientComments", "two\r\nlines", "two\r\nlines"),
        ("PatientWeight", "71.5", "71.5"),
        ("OtherPatientNames", ["a^b", "c^d"], ["a^b", "c^d"]),
        ("TimezoneOffsetFromUTC", "+0530", "+0530"),
        ("TimezoneOffsetFromUTC", "CET", None),
        ("StudyID", "", None),
    ],
)
def test_a_value_is_in_the_standards_form_or_counts_as_absent(keyword: str, value: Any, expected: Any) -> None:
    assert normalised(holding(keyword, value), keyword) == expected


def test_an_absent_value_is_none() -> None:
    assert normalised(Dataset(), "StudyDate") is None
    assert readable_values(Dataset(), "StudyDate") == []
    assert first_word(Dataset(), "Modality") == ""


def test_a_sequence_is_kept_whole_or_not_at_all() -> None:
    good = item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="one")
    good.add_new(0x00091001, "LO", "private")
    bad = item(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID="not a UID")

    (kept,) = normalised(holding("ProcedureCodeSequence", [good]), "ProcedureCodeSequence")
    assert (kept.CodeValue, kept.CodeMeaning, len(kept)) == ("1", "one", 3)
    assert normalised(holding("ReferencedStudySequence", [bad]), "ReferencedStudySequence") is None
    assert normalised(holding("ReferencedStudySequence", []), "ReferencedStudySequence") is None


def test_a_value_that_does_not_convert_counts_as_absent() -> None:
    class Broken(Dataset):
        def get(self, *_: object) -> object:
            raise ValueError("heavy")

    assert readable_values(Broken(), "PatientWeight") == []

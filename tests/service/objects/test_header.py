from typing import Any

import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR

from service.objects.header import mended, numbers, values, word
from tests.service.objects.rendered import item


def holding(keyword: str, value: Any) -> Dataset:
    dataset = Dataset()
    dataset[keyword] = DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE)
    return dataset


@pytest.mark.parametrize(
    ("keyword", "value", "wanted"),
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
def test_a_value_is_mended_or_counts_as_absent(keyword: str, value: Any, wanted: Any) -> None:
    assert mended(holding(keyword, value), keyword) == wanted


def test_what_is_not_there_is_none() -> None:
    assert mended(Dataset(), "StudyDate") is None
    assert values(Dataset(), "StudyDate") == []
    assert word(Dataset(), "Modality") == ""


def test_a_sequence_is_kept_whole_or_not_at_all() -> None:
    good = item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="one")
    good.add_new(0x00091001, "LO", "private")
    bad = item(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID="not a UID")

    (kept,) = mended(holding("ProcedureCodeSequence", [good]), "ProcedureCodeSequence")
    assert (kept.CodeValue, kept.CodeMeaning, len(kept)) == ("1", "one", 3)
    assert mended(holding("ReferencedStudySequence", [bad]), "ReferencedStudySequence") is None
    assert mended(holding("ReferencedStudySequence", []), "ReferencedStudySequence") is None


@pytest.mark.parametrize(
    ("value", "wanted"), [([0.2, 0.1], (0.2, 0.1)), (["nan", "1"], ()), ([], ()), (["inf"], ()), ([3], (3,))]
)
def test_numbers_are_all_finite_or_none(value: Any, wanted: tuple[float, ...]) -> None:
    assert numbers(holding("PixelSpacing", value), "PixelSpacing") == wanted


def test_a_value_that_does_not_convert_counts_as_absent() -> None:
    class Broken(Dataset):
        def get(self, *_: object) -> object:
            raise ValueError("heavy")

    assert values(Broken(), "PatientWeight") == []

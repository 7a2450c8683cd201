import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.dicom.attributes import KEYWORDS, LENGTH, attributes
from tests.factories import chest, ramp


def test_values_are_text_by_keyword_and_what_is_absent_is_left_out() -> None:
    found = attributes(chest(ramp(), SeriesNumber=7, PatientAge="054Y"))

    assert found["PatientName"] == "Canary^Tweety"
    assert (found["SeriesNumber"], found["PatientAge"], found["Rows"]) == ("7", "054Y", "256")
    assert "StudyDescription" not in found
    assert set(found) <= set(KEYWORDS)


def test_a_name_in_another_alphabet_is_read_by_its_character_set() -> None:
    dataset = chest(ramp(), SpecificCharacterSet="ISO_IR 144", PatientName="Люкceмбypг")

    assert attributes(dataset)["PatientName"] == "Люкceмбypг"


@pytest.mark.filterwarnings("ignore")
def test_control_characters_go_and_what_is_too_long_is_cut() -> None:
    found = attributes(chest(ramp(), StudyDescription="a\nb\0\x1bc", SeriesDescription="x" * 5000))

    assert found["StudyDescription"] == "abc"
    assert len(found["SeriesDescription"]) == LENGTH


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_read_is_left_out_and_refuses_nothing() -> None:
    dataset = chest(ramp())
    dataset["SeriesNumber"] = RawDataElement(Tag("SeriesNumber"), "FD", 4, b"abcd", 0, False, True)

    assert "SeriesNumber" not in attributes(dataset)
    assert attributes(dataset)["PatientID"] == "CANARY-17"

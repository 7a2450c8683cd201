import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.dicom.attributes import KEYWORDS, MAX_LENGTH, attributes
from tests.factories import chest, ramp


def test_values_are_text_by_keyword_and_absent_ones_are_left_out() -> None:
    values = attributes(chest(ramp(), SeriesNumber=7, PatientAge="054Y"))

    assert values["PatientName"] == "Canary^Tweety"
    assert (values["SeriesNumber"], values["PatientAge"], values["Rows"]) == ("7", "054Y", "256")
    assert "StudyDescription" not in values
    assert set(values) <= set(KEYWORDS)


def test_a_name_in_another_alphabet_is_read_by_its_character_set() -> None:
    dataset = chest(ramp(), SpecificCharacterSet="ISO_IR 144", PatientName="Люкceмбypг")

    assert attributes(dataset)["PatientName"] == "Люкceмбypг"


def request(**elements: str) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def test_requests_are_one_value_for_each_item() -> None:
    requests = [
        request(ScheduledProcedureStepID="S1", RequestedProcedureID="R1"),
        request(),
        request(ScheduledProcedureStepID="S3"),
    ]

    values = attributes(chest(ramp(), RequestAttributesSequence=requests))

    assert values["RequestAttributesSequence.ScheduledProcedureStepID"] == "S1\\\\S3"
    assert values["RequestAttributesSequence.RequestedProcedureID"] == "R1\\\\"


@pytest.mark.parametrize("requests", [[], [request()], None])
def test_requests_without_a_value_are_left_out(requests: list[Dataset] | None) -> None:
    values = attributes(chest(ramp(), RequestAttributesSequence=requests))

    assert not any(path.startswith("RequestAttributesSequence") for path in values)


@pytest.mark.filterwarnings("ignore")
def test_control_characters_are_removed_and_long_values_are_cut() -> None:
    values = attributes(chest(ramp(), StudyDescription="a\nb\0\x1bc", SeriesDescription="x" * 5000))

    assert values["StudyDescription"] == "abc"
    assert len(values["SeriesDescription"]) == MAX_LENGTH


@pytest.mark.filterwarnings("ignore")
def test_an_unreadable_value_is_left_out_and_the_others_are_read() -> None:
    dataset = chest(ramp())
    dataset["SeriesNumber"] = RawDataElement(Tag("SeriesNumber"), "FD", 4, b"abcd", 0, False, True)

    assert "SeriesNumber" not in attributes(dataset)
    assert attributes(dataset)["PatientID"] == "CANARY-17"

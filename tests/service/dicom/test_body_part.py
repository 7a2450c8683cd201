import pytest

from service.dicom.body_part import body_part, is_chest
from service.dicom.words import SHIPPED
from service.errors import Reason
from tests.factories import chest, ramp
from tests.service.dicom.coded import context_group, item

PIXELS = ramp(16, 16)
MISSING, UNSUITABLE = "body_part_missing", "body_part_unsuitable"
CHESTS = {"816094009", "39607008", "T-28000"}


def answer(**elements: object) -> str | None:
    """Return the code of the refusal, the flag, or None."""
    outcome = body_part(chest(PIXELS, **{"BodyPartExamined": None, **elements}), SHIPPED)
    return outcome.code if isinstance(outcome, Reason) else outcome


REGIONS = sorted({*context_group(4), *context_group(4031), *context_group(4009)})


def test_every_region_of_the_standard_is_decided() -> None:
    assert len(REGIONS) > 600
    for scheme, value, meaning in REGIONS:
        expected = None if value in CHESTS else UNSUITABLE
        assert answer(AnatomicRegionSequence=[item(scheme, value)]) == expected, meaning
        assert answer(AnatomicRegionSequence=[item(scheme, value, meaning)]) == expected, meaning


NEAR_THE_CHEST = {  # PS3.16 CID 4031
    *("Rib", "Scapula", "Clavicle", "Sternum", "Shoulder", "Thoracic spine", "Breast", "Neck and Chest"),
    *("Chest and Abdomen", "Chest, Abdomen and Pelvis", "Acromioclavicular joint", "Sternoclavicular joint"),
}


@pytest.mark.parametrize(
    ("scheme", "value", "meaning"), [region for region in REGIONS if region[2] in NEAR_THE_CHEST], ids=str
)
def test_a_region_contradicts_a_body_part(scheme: str, value: str, meaning: str) -> None:
    assert answer(BodyPartExamined="CHEST", AnatomicRegionSequence=[item(scheme, value, meaning)]) == UNSUITABLE


@pytest.mark.parametrize("meaning", ["Chest", "Heart", "Mediastinum", "Thorax", "Canary", ""])
def test_a_region_that_fits_the_chest_beside_a_body_part(meaning: str) -> None:
    assert answer(BodyPartExamined="CHEST", AnatomicRegionSequence=[item("SCT", "1", meaning)]) is None


@pytest.mark.parametrize(
    ("scheme", "value", "meaning", "expected"),
    [
        ("SRT", "T-D3000", "Canary", None),
        ("SCT", "51185008", "Canary", None),
        ("SCT", "302551006", "Entire thorax", None),
        ("99LOCAL", "1", "Chest", None),
        ("99LOCAL", "1", "Thorax stehend", None),
        ("99LOCAL", "1", "胸部", None),
        ("RADLEX", "RID1243", "thorax", None),
        ("99LOCAL", "1", "Thoracic spine", UNSUITABLE),
        ("99LOCAL", "1", "Knie", UNSUITABLE),
        ("99LOCAL", "1", "Chest and abdomen", UNSUITABLE),
        ("99LOCAL", "1", "Canary", MISSING),
        ("99LOCAL", "816094009", "Canary", MISSING),
    ],
)
def test_other_codes_say_what_their_meaning_says(scheme: str, value: str, meaning: str, expected: str | None) -> None:
    assert answer(AnatomicRegionSequence=[item(scheme, value, meaning)]) == expected
    assert answer(BodyPartExamined="UNKNOWN", AnatomicRegionSequence=[item(scheme, value, meaning)]) == expected


def test_two_regions_are_not_the_chest_alone() -> None:
    regions = [item("SCT", "816094009", "Chest"), item("SCT", "113197003", "Rib")]

    assert answer(AnatomicRegionSequence=regions) == UNSUITABLE
    assert answer(AnatomicRegionSequence=regions[:1]) is None


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"SeriesDescription": "Thorax", "StudyDescription": "Becken"}, MISSING),
        ({"ProtocolName": "Thorax", "StudyDescription": "Becken"}, MISSING),
        ({"AcquisitionDeviceProcessingDescription": "CHEST", "SeriesDescription": "Knee"}, MISSING),
        ({"AcquisitionDeviceProcessingDescription": "KNEE", "SeriesDescription": "Chest"}, UNSUITABLE),
        ({"ProtocolName": "Knie"}, UNSUITABLE),
        ({"PerformedProcedureStepDescription": "腰椎"}, UNSUITABLE),
        ({"ProcedureCodeSequence": [item("99LOCAL", "1", "XR HAND")]}, UNSUITABLE),
        ({"StudyDescription": "THORAX UND ABDOMEN"}, MISSING),
        ({"StudyDescription": "Canary"}, MISSING),
    ],
    ids=str,
)
def test_descriptions(elements: dict[str, object], expected: str) -> None:
    assert answer(**elements) == expected


def test_what_states_the_chest() -> None:
    coded = [item("SCT", "816094009")]

    assert is_chest(chest(PIXELS), SHIPPED)
    assert is_chest(chest(PIXELS, BodyPartExamined=None, AnatomicRegionSequence=coded), SHIPPED)
    assert not is_chest(chest(PIXELS, BodyPartExamined=None, SeriesDescription="Chest"), SHIPPED)

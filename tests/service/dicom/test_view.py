import pytest

from service.dicom.view import view
from service.dicom.words import SHIPPED
from service.errors import Reason
from tests.factories import chest, ramp
from tests.service.dicom.coded import context_group, item

PIXELS = ramp(16, 16)
FRONTAL = {"antero-posterior", "postero-anterior", "frontal"}
MISSING = "view_position_missing"


def answer(**elements: object) -> str | None:
    """Return the code of the refusal, the flag, or None."""
    outcome = view(chest(PIXELS, **{"ViewPosition": None, **elements}), SHIPPED)
    return outcome.code if isinstance(outcome, Reason) else outcome


CID_4010 = sorted(context_group(4010))


def test_the_table_of_views_is_whole() -> None:
    assert {scheme for scheme, _, _ in CID_4010} == {"SCT", "SRT"}
    assert len(CID_4010) == 84
    assert {meaning for *_, meaning in CID_4010} >= FRONTAL


@pytest.mark.parametrize(("scheme", "value", "meaning"), CID_4010)
def test_every_view_of_the_standard_is_decided_by_its_code_alone(scheme: str, value: str, meaning: str) -> None:
    expected = None if meaning in FRONTAL else "view_unsuitable"

    assert answer(ViewCodeSequence=[item(scheme, value)]) == expected
    assert answer(ViewCodeSequence=[item(scheme, value, meaning)]) == expected


@pytest.mark.parametrize(("scheme", "value"), [("SRT", "R-10214"), ("SNM3", "R-10206"), ("SCT", "399066004")])
def test_codes_of_earlier_editions(scheme: str, value: str) -> None:
    assert answer(ViewCodeSequence=[item(scheme, value)]) is None


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        ("Chest PA", None),
        ("Thorax p.a.", None),
        ("胸部正面", None),
        ("Thorax seitlich", "view_unsuitable"),
        ("Apical lordotic", "view_unsuitable"),
        ("PA and lateral", MISSING),
        ("Canary", MISSING),
        ("", MISSING),
    ],
)
def test_a_code_of_another_scheme_says_what_its_meaning_says(meaning: str, expected: str | None) -> None:
    assert answer(ViewCodeSequence=[item("99LOCAL", "1", meaning)]) == expected


def test_an_unknown_code_of_snomed_is_refused() -> None:
    assert answer(ViewCodeSequence=[item("SCT", "1", "antero-posterior")]) == "view_unsuitable"


def test_a_code_beside_others() -> None:
    lateral, frontal, local = item("SCT", "399067008"), item("SCT", "272479007"), item("99LOCAL", "1")

    assert answer(ViewCodeSequence=[lateral, local]) == "view_unsuitable"
    assert answer(ViewCodeSequence=[local, frontal]) is None
    assert answer(ViewPosition="PA", ViewCodeSequence=[lateral]) == "view_unsuitable"
    assert answer(ViewPosition="PA", ViewCodeSequence=[local]) is None


@pytest.mark.parametrize(("scheme", "value", "meaning"), sorted(context_group(4011)))
def test_modifiers_of_the_standard(scheme: str, value: str, meaning: str) -> None:
    modified = item("SCT", "399348003", ViewModifierCodeSequence=[item(scheme, value)])

    assert answer(ViewCodeSequence=[modified]) == (None if meaning == "caudad" else "view_unsuitable")


def test_a_modifier_of_another_scheme_says_what_its_meaning_says() -> None:
    for meaning, expected in (("Lordotic", "view_unsuitable"), ("Erect", None)):
        modified = item("SCT", "399348003", ViewModifierCodeSequence=[item("99LOCAL", "1", meaning)])
        assert answer(ViewCodeSequence=[modified]) == expected


def test_a_projection_with_a_name_of_its_own_is_none_of_the_chest() -> None:
    assert answer(ViewPosition="AP", ProjectionEponymousNameCodeSequence=[item("SCT", "399281004")]) == (
        "view_unsuitable"  # Fleischner, lordotic
    )
    assert answer(ViewPosition="AP", ProjectionEponymousNameCodeSequence=[]) is None


LATERAL, PA = "Thorax seitlich", "Thorax PA"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        # An attribute decides before a description.
        ({"ViewPosition": "PA", "SeriesDescription": LATERAL}, None),
        ({"ViewCodeSequence": [item("SCT", "399348003")], "ProtocolName": LATERAL}, None),
        # A description of the image decides before one of the study.
        ({"SeriesDescription": PA, "StudyDescription": LATERAL}, MISSING),
        ({"SeriesDescription": LATERAL, "StudyDescription": PA}, "view_unsuitable"),
        ({"AcquisitionDeviceProcessingDescription": PA, "SeriesDescription": LATERAL}, MISSING),
        ({"AcquisitionDeviceProcessingDescription": LATERAL, "SeriesDescription": PA}, "view_unsuitable"),
        # One that is of two images decides nothing, and the next one counts.
        ({"SeriesDescription": "PA and lateral", "ProtocolName": LATERAL}, "view_unsuitable"),
        ({"SeriesDescription": "PA and lateral", "StudyDescription": LATERAL}, "view_unsuitable"),
        ({"StudyDescription": "Chest PA and lateral"}, MISSING),
        (
            {"PerformedProcedureStepDescription": "CHEST (PA AND LAT)", "StudyDescription": "CHEST LAT"},
            "view_unsuitable",
        ),
        ({"PerformedProcedureStepDescription": "CHEST (PA)", "StudyDescription": "CHEST LAT"}, MISSING),
        ({"ProcedureCodeSequence": [item("99LOCAL", "1", "CHEST LAT")]}, "view_unsuitable"),
        ({"ProcedureCodeSequence": [item("99LOCAL", "1", "CHEST (PA AND LAT)")]}, MISSING),
        ({"StudyDescription": "CHEST AP LORDOTIC"}, MISSING),  # may be of two images
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": LATERAL}, "view_unsuitable"),
        ({"PatientOrientation": ["P", "F"], "ViewPosition": "PA"}, "view_unsuitable"),
        # A part is a matter of the image where the body part says chest.
        ({"SeriesDescription": "Scapula"}, "view_unsuitable"),
        ({"SeriesDescription": "Chest and ribs"}, MISSING),
        ({"StudyDescription": "Scapula"}, MISSING),
        ({"BodyPartExamined": None, "SeriesDescription": "Scapula"}, MISSING),  # refused by the rule of the body part
        (
            {
                "BodyPartExamined": None,
                "AnatomicRegionSequence": [item("SCT", "816094009")],
                "SeriesDescription": "Scapula",
            },
            "view_unsuitable",
        ),
    ],
    ids=str,
)
def test_precedence(elements: dict[str, object], expected: str | None) -> None:
    assert answer(**elements) == expected


@pytest.mark.parametrize("value", [b"\xff\xfe", b"", [LATERAL, "Canary"]])
def test_a_description_that_is_not_text_refuses_nothing_but_by_its_words(value: object) -> None:
    dataset = chest(PIXELS, ViewPosition=None)
    dataset.add_new("SeriesDescription", "LO" if isinstance(value, list) else "UN", value)

    expected = "view_unsuitable" if isinstance(value, list) else MISSING
    outcome = view(dataset, SHIPPED)
    assert (outcome.code if isinstance(outcome, Reason) else outcome) == expected

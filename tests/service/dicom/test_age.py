import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.dicom.age import years_old
from service.dicom.gate import accept
from service.dicom.policy import Policy
from service.errors import UnsuitableImage
from tests.factories import chest, ramp

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")

PIXELS = ramp(512, 600)
BORN, STUDY = "PatientBirthDate", "StudyDate"

AGES = [
    ({"PatientAge": "012Y"}, 12),
    ({"PatientAge": "018Y"}, 18),
    ({"PatientAge": "006M"}, 0.5),
    ({"PatientAge": "216M"}, 18),
    ({"PatientAge": "003W"}, 3 * 7 / 365.25),
    ({"PatientAge": "010D"}, 10 / 365.25),
    ({"PatientAge": "000D"}, 0),
    ({"PatientAge": "12Y"}, 12),  # three digits by PS3.5 6.2
    ({"PatientAge": "7 y"}, 7),
    ({"PatientAge": "012Y", BORN: "19420502", STUDY: "20200101"}, 12),  # before the dates
    ({"PatientAge": "forty", BORN: "20100615", STUDY: "20200614"}, 9),
    ({"PatientAge": "012", BORN: "20100615", STUDY: "20200615"}, 10),
    ({BORN: "20020101", STUDY: "20191231"}, 17),
    ({BORN: "20020101", STUDY: "20200101"}, 18),
    ({BORN: "20120229", STUDY: "20200228"}, 7),
    ({BORN: "2010.06.15", STUDY: "20200615"}, 10),  # ACR-NEMA
    ({BORN: "20100615", "AcquisitionDate": "20200615"}, 10),
    ({BORN: "20100615", STUDY: "20200615", "AcquisitionDate": "20300615"}, 10),
    ({BORN: "20100615", STUDY: "?", "ContentDate": "20200615"}, 10),
]
UNKNOWN = [
    {},
    {"PatientAge": "forty"},
    {"PatientAge": "1234Y"},
    {"PatientAge": "-12Y"},
    {BORN: "20100615"},
    {STUDY: "20200615"},
    {BORN: "20200616", STUDY: "20200615"},
    {BORN: "20101332", STUDY: "20200615"},
    {BORN: ["20100615", "20110615"], STUDY: "20200615"},
]


@pytest.mark.parametrize(("elements", "years"), AGES, ids=str)
def test_known_ages(elements: dict[str, str], years: float) -> None:
    dataset = chest(PIXELS, **{BORN: None, **elements})

    assert years_old(dataset) == pytest.approx(years)
    assert accept(dataset) == (("paediatric",) if years < 18 else ())


@pytest.mark.parametrize("elements", UNKNOWN, ids=str)
def test_an_unknown_age_is_neither_flagged_nor_refused(elements: dict[str, str]) -> None:
    dataset = chest(PIXELS, **{BORN: None, **elements})

    assert years_old(dataset) is None
    assert accept(dataset, Policy(minimum_age=120)) == ()


@pytest.mark.parametrize(
    ("age", "minimum", "expected"),
    [
        ("017Y", 18, "patient_too_young"),
        ("018Y", 18, ()),
        ("006M", 1, "patient_too_young"),
        ("012M", 1, ("paediatric",)),
        ("020Y", 21, "patient_too_young"),
        ("000D", 0, ("paediatric",)),
        ("000D", None, ("paediatric",)),
    ],
)
def test_a_site_refuses_patients_below_its_minimum_age(age: str, minimum: int | None, expected: object) -> None:
    dataset = chest(PIXELS, PatientAge=age)
    if isinstance(expected, tuple):
        assert accept(dataset, Policy(minimum_age=minimum)) == expected
        return
    with pytest.raises(UnsuitableImage) as refusal:
        accept(dataset, Policy(minimum_age=minimum))
    [reason] = refusal.value.reasons
    assert reason.code == expected
    assert "PatientAge" in reason.message
    assert age not in reason.message


@given(age=st.text(max_size=20), born=st.text(max_size=20), study=st.text(max_size=20))
def test_any_text_is_an_age_or_unknown(age: str, born: str, study: str) -> None:
    years = years_old(chest(ramp(2, 2), PatientAge=age, PatientBirthDate=born, StudyDate=study))

    assert years is None or years >= 0

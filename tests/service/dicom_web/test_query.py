import pytest
from starlette.datastructures import QueryParams

from service.dicom_web.query import NOT_FUZZY, Level, query
from service.errors import InvalidRequest
from service.storage.criteria import Between, Criterion, Like, OneOf

TIME = "999999.999999"


@pytest.mark.parametrize(
    ("parameters", "criteria"),
    [
        ("", ()),
        ("PatientName=*", ()),
        ("PatientName=", ()),
        ("PatientName=doe*", (Like("PatientName", "doe*"),)),
        ("PatientName=doe", (Like("PatientName", "doe"),)),
        ("00100010=doe**x", (Like("PatientName", "doe*x"),)),
        ("0020000d=1.2,1.3", (OneOf("StudyInstanceUID", ("1.2", "1.3")),)),
        ("StudyInstanceUID=1.2%5C1.3", (OneOf("StudyInstanceUID", ("1.2", "1.3")),)),
        ("StudyInstanceUID=1.2&StudyInstanceUID=1.3", (OneOf("StudyInstanceUID", ("1.2", "1.3")),)),
        ("ModalitiesInStudy=CR,DX", (OneOf("ModalitiesInStudy", ("CR", "DX")),)),
        ("PatientID=A%2CB", (OneOf("PatientID", ("A,B",)),)),
        ("PatientID=A?", (Like("PatientID", "A?"),)),
        ("StudyDate=20260102", (Between("StudyDate", "20260102", "20260102"),)),
        ("StudyDate=20260102-20260103", (Between("StudyDate", "20260102", "20260103"),)),
        ("StudyDate=20260102-", (Between("StudyDate", "20260102", ""),)),
        ("StudyDate=-20260103", (Between("StudyDate", "", "20260103"),)),
        ("StudyTime=12-1330", (Between("StudyTime", "12", "1330" + TIME[4:]),)),
        ("limit=5&offset=3&includefield=all&includefield=00081030,PatientSex&fuzzymatching=false", ()),
    ],
)
def test_a_key_becomes_a_criterion(parameters: str, criteria: tuple[Criterion, ...]) -> None:
    assert query(QueryParams(parameters), "study", {}).search.study_criteria == criteria


def test_the_size_of_a_page_is_limited() -> None:
    assert query(QueryParams("limit=5&offset=3"), "study", {}).search.limit == 5
    assert query(QueryParams("limit=5&offset=3"), "study", {}).search.offset == 3
    assert query(QueryParams("limit=100000"), "study", {}).search.limit == 1000


def test_uids_in_the_path_are_criteria() -> None:
    search = query(
        QueryParams("Modality=SR"), "instance", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
    ).search

    assert search.study_criteria == (OneOf("StudyInstanceUID", ("1.2",)),)
    assert search.instance_criteria == (OneOf("SeriesInstanceUID", ("1.3",)), OneOf("Modality", ("SR",)))


@pytest.mark.parametrize(
    "key",
    [
        "00400275.00400009",
        "RequestAttributesSequence.ScheduledProcedureStepID",
        "RequestAttributesSequence.00400009",
    ],
)
def test_a_key_may_be_an_attribute_of_a_sequence(key: str) -> None:
    search = query(QueryParams(f"{key}=S1"), "series", {}).search

    assert search.instance_criteria == (OneOf("RequestAttributesSequence.ScheduledProcedureStepID", ("S1",)),)


@pytest.mark.parametrize(
    ("fields", "level", "missing"),
    [
        ("all,PatientAge,IssuerOfPatientID,00080201", "study", ""),
        ("RequestAttributesSequence,00400275.00400009", "series", ""),
        ("InstitutionName,00400275", "study", "InstitutionName, RequestAttributesSequence"),
        ("Rows,Manufacturer,00080080", "instance", "Manufacturer, InstitutionName"),
    ],
)
def test_a_field_that_cannot_be_included_is_answered_with_a_warning(fields: str, level: Level, missing: str) -> None:
    warnings = query(QueryParams(f"includefield={fields}"), level, {}).warnings

    assert warnings == ((f"includefield is not supported for {missing}",) if missing else ())


def test_fuzzy_matching_is_answered_with_a_warning() -> None:
    assert query(QueryParams("fuzzymatching=true&PatientName=x"), "study", {}).warnings == (NOT_FUZZY,)


@pytest.mark.parametrize(
    ("parameters", "level", "code"),
    [
        ("Nonsense=1", "study", "unknown_parameter"),
        ("99999999=1", "study", "unknown_parameter"),
        ("includefield=Nonsense", "study", "unknown_parameter"),
        ("00400275.00090001=1", "series", "unknown_parameter"),
        ("00400275.00400009=1", "study", "unsupported_key"),
        ("00400275=1", "series", "unsupported_key"),
        ("00400275.00321060=1", "series", "unsupported_key"),
        ("Modality=DX", "study", "unsupported_key"),
        ("SOPInstanceUID=1", "series", "unsupported_key"),
        ("WindowCenter=1", "instance", "unsupported_key"),
        ("StudyDate=2026", "study", "invalid_value"),
        ("StudyDate=-", "study", "invalid_value"),
        ("StudyDate=2026010220260103", "study", "invalid_value"),
        ("StudyDate=20260102&StudyDate=20260103", "study", "invalid_value"),
        ("StudyTime=7", "study", "invalid_value"),
        ("PatientName=*a*b*c*d*e*f*g*h*i", "study", "invalid_value"),
        ("PatientID=" + "x" * 2000, "study", "invalid_value"),
        ("PatientID=%00", "study", "invalid_value"),
        ("limit=-1", "study", "invalid_value"),
        ("limit=x", "study", "invalid_value"),
        ("offset=1e3", "study", "invalid_value"),
        ("fuzzymatching=maybe", "study", "invalid_value"),
    ],
)
def test_an_invalid_parameter_is_refused(parameters: str, level: Level, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        query(QueryParams(parameters), level, {})

    assert caught.value.code == code

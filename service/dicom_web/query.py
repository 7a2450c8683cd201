"""The parameters of QIDO-RS, PS3.18 8.3.4: matching keys by keyword or tag, and which page is wanted."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from starlette.datastructures import QueryParams

from service.dicom_web.catalogue import Wanted
from service.errors import InvalidRequest
from service.storage.criteria import Between, Criterion, Like, OneOf

MOST = 1000  # results of one answer
Level = Literal["study", "series", "instance"]

# PS3.18 tables 10.6.1-5 and below, as far as it is kept
STUDY = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDescription"),
)
SERIES = (
    *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
)
INSTANCE = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber")
KEYS: dict[Level, tuple[str, ...]] = {
    "study": STUDY,
    "series": (*STUDY, *SERIES),
    "instance": (*STUDY, *SERIES, *INSTANCE),
}

_CONTROLS = ("limit", "offset", "includefield", "fuzzymatching", "accept")
_LISTS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "ModalitiesInStudy", "Modality")
_NAMES = ("PatientName", "ReferringPhysicianName")
_DATE, _TIME = r"\d{8}", r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?"
_RANGES = {
    **dict.fromkeys(("StudyDate", "PatientBirthDate", "PerformedProcedureStepStartDate"), _DATE),
    **dict.fromkeys(("StudyTime", "PerformedProcedureStepStartTime"), _TIME),
}
_LATEST = "999999.999999"  # fills a time up to the end of what it says
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_LONGEST = 1024
_STARS = 8
# The words of PS3.18 8.3.4.2
NOT_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."


@dataclass(frozen=True)
class Query:
    """What is wanted, and what the client is told of what it does not get."""

    wanted: Wanted
    warnings: tuple[str, ...]


def query(parameters: QueryParams, level: Level, of: dict[str, str]) -> Query:
    """Read the parameters.

    Parameters
    ----------
    of
        What the path fixes: keyword to UID.

    Raises
    ------
    InvalidRequest
        `unknown_parameter`; `unsupported_key` for an attribute that cannot be searched at this level; `invalid_value`.
        A key that is not understood is never passed over: the answer would be of other patients, too.
    """
    criteria: list[Criterion] = [OneOf(keyword, (uid,)) for keyword, uid in of.items()]
    for name in dict.fromkeys(parameters.keys()):
        if name not in _CONTROLS:
            criteria += _criteria(_key(name, level), parameters.getlist(name))
    for field in ",".join(parameters.getlist("includefield")).split(","):
        if field and field != "all":
            _keyword(field)  # what is kept of a level is always told; an unknown field is an error all the same
    fuzzy = parameters.get("fuzzymatching", "false")
    if fuzzy not in ("true", "false"):
        raise InvalidRequest("fuzzymatching: true or false wanted", "invalid_value")
    limit = min(_number(parameters, "limit", MOST), MOST)
    wanted = Wanted(
        of_study=tuple(one for one in criteria if one.keyword in STUDY),
        of_instance=tuple(one for one in criteria if one.keyword not in STUDY),
        limit=limit,
        offset=_number(parameters, "offset", 0),
    )
    return Query(wanted, (NOT_FUZZY,) if fuzzy == "true" else ())


def _key(name: str, level: Level) -> str:
    keyword = _keyword(name)
    if keyword not in KEYS[level]:
        raise InvalidRequest(
            f"{keyword} cannot be searched for here; there is {', '.join(KEYS[level])}", "unsupported_key"
        )
    return keyword


def _keyword(name: str) -> str:
    keyword = keyword_for_tag(int(name, 16)) if _TAG.fullmatch(name) else name
    if not keyword or tag_for_keyword(keyword) is None:
        raise InvalidRequest("a parameter is neither known nor an attribute of DICOM", "unknown_parameter")
    return keyword


def _criteria(keyword: str, values: list[str]) -> Iterable[Criterion]:
    """None for an empty value: it matches everything, PS3.4 C.2.2.2.3."""
    if any(len(value) > _LONGEST or "\0" in value for value in values):
        raise InvalidRequest(f"{keyword}: a shorter value wanted", "invalid_value")
    if keyword in _LISTS:
        listed = tuple(one for value in values for one in re.split(r"[,\\]", value) if one)
        return [OneOf(keyword, listed)] if listed else []
    if len(values) > 1:
        raise InvalidRequest(f"{keyword}: one value wanted", "invalid_value")
    return [_single(keyword, values[0])] if values[0].strip("*") else []


def _single(keyword: str, value: str) -> Criterion:
    if keyword in _RANGES:
        return _range(keyword, value)
    if keyword in _NAMES or re.search(r"[*?]", value):
        pattern = re.sub(r"\*+", "*", value)
        if pattern.count("*") > _STARS:  # matching costs more with each
            raise InvalidRequest(f"{keyword}: at most {_STARS} wild cards wanted", "invalid_value")
        return Like(keyword, pattern)
    return OneOf(keyword, (value,))


def _range(keyword: str, value: str) -> Criterion:
    one = _RANGES[keyword]
    found = re.fullmatch(rf"(?P<first>{one})?(?P<to>-)?(?P<last>{one})?", value)
    if found is None or not (found["first"] or found["last"]) or (found["first"] and found["last"] and not found["to"]):
        raise InvalidRequest(f"{keyword}: a date or time, or a range of them wanted", "invalid_value")
    last = found["last"] or ("" if found["to"] else found["first"])
    fill = _LATEST[len(last) :] if last and one is _TIME else ""
    return Between(keyword, found["first"] or "", last + fill)


def _number(parameters: QueryParams, name: str, default: int) -> int:
    value = parameters.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise InvalidRequest(f"{name}: a whole number wanted", "invalid_value")
    return int(value)

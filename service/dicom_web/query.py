"""The query parameters of QIDO-RS, PS3.18 8.3.4: matching keys by keyword or tag, and paging."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from starlette.datastructures import QueryParams

from service.dicom.attributes import REQUEST, REQUEST_PATHS
from service.dicom_web.catalogue import Search
from service.errors import InvalidRequest
from service.storage.criteria import Between, Criterion, Like, OneOf

MAX_RESULTS = 1000  # results in one answer
Level = Literal["study", "series", "instance"]

# PS3.18 tables 10.6.1-5 ff., the attributes that are stored
STUDY = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDescription"),
)
SERIES = (
    *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    *REQUEST_PATHS.values(),
)
INSTANCE = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber")
KEYS: dict[Level, tuple[str, ...]] = {
    "study": STUDY,
    "series": (*STUDY, *SERIES),
    "instance": (*STUDY, *SERIES, *INSTANCE),
}

# What the answers have beside the keys, PS3.18 tables 10.6.3-3 to 10.6.3-5; those that not every file has are optional
OPTIONAL = ("TimezoneOffsetFromUTC", "IssuerOfPatientID")
_EVERYWHERE = (*OPTIONAL, "PatientAge", "SpecificCharacterSet", "InstanceAvailability", "RetrieveURL")
_RETURNED: dict[Level, tuple[str, ...]] = {
    "study": (*_EVERYWHERE, "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    "series": (*_EVERYWHERE, "Manufacturer", "NumberOfSeriesRelatedInstances", REQUEST),
    "instance": (*_EVERYWHERE, "Rows", "Columns", "BitsAllocated", REQUEST),
}

_CONTROLS = ("limit", "offset", "includefield", "fuzzymatching", "accept")
_LISTS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "ModalitiesInStudy", "Modality")
_NAMES = ("PatientName", "ReferringPhysicianName")
_DATE, _TIME = r"\d{8}", r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?"
_RANGES = {
    **dict.fromkeys(("StudyDate", "PatientBirthDate", "PerformedProcedureStepStartDate"), _DATE),
    **dict.fromkeys(("StudyTime", "PerformedProcedureStepStartTime"), _TIME),
}
_LATEST = "999999.999999"  # fills an upper bound: 1330 means to the end of that minute
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_MAX_CHARACTERS = 1024
_MAX_STARS = 8
# Text of PS3.18 8.3.4.2
NOT_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."


@dataclass(frozen=True)
class Query:
    """A search, and warnings to the client about what was not done."""

    search: Search
    warnings: tuple[str, ...]


def query(parameters: QueryParams, level: Level, fixed: dict[str, str]) -> Query:
    """Parse the query parameters.

    Parameters
    ----------
    fixed
        UIDs from the path, by keyword.

    Raises
    ------
    InvalidRequest
        `unknown_parameter`; `unsupported_key` for an attribute that cannot be searched at this level; `invalid_value`.
        An unknown key is never ignored, as the answer would include other patients.
    """
    criteria: list[Criterion] = [OneOf(keyword, (uid,)) for keyword, uid in fixed.items()]
    for name in dict.fromkeys(parameters.keys()):
        if name not in _CONTROLS:
            criteria += _criteria(_key(name, level), parameters.getlist(name))
    fuzzy = parameters.get("fuzzymatching", "false")
    if fuzzy not in ("true", "false"):
        raise InvalidRequest("fuzzymatching must be true or false", "invalid_value")
    limit = min(_number(parameters, "limit", MAX_RESULTS), MAX_RESULTS)
    search = Search(
        study_criteria=tuple(criterion for criterion in criteria if criterion.keyword in STUDY),
        instance_criteria=tuple(criterion for criterion in criteria if criterion.keyword not in STUDY),
        limit=limit,
        offset=_number(parameters, "offset", 0),
    )
    return Query(search, (*((NOT_FUZZY,) if fuzzy == "true" else ()), *_not_included(parameters, level)))


def _not_included(parameters: QueryParams, level: Level) -> list[str]:
    """Return a warning about attributes that were asked for and are not stored; the others are always returned."""
    fields = [field for field in ",".join(parameters.getlist("includefield")).split(",") if field not in ("", "all")]
    missing = [name for name in map(_keyword, fields) if name not in (*KEYS[level], *_RETURNED[level])]
    return [f"includefield is not supported for {', '.join(dict.fromkeys(missing))}"] if missing else []


def _key(name: str, level: Level) -> str:
    keyword = _keyword(name)
    if keyword not in KEYS[level]:
        raise InvalidRequest(
            f"{keyword} is not a key at this level; keys are {', '.join(KEYS[level])}", "unsupported_key"
        )
    return keyword


def _keyword(name: str) -> str:
    """Return the keyword of an attribute; a period joins that of a sequence and that of an attribute in its items."""
    steps = [keyword_for_tag(int(step, 16)) if _TAG.fullmatch(step) else step for step in name.split(".")]
    if not all(step and tag_for_keyword(step) is not None for step in steps):
        raise InvalidRequest("a parameter is neither known nor a DICOM attribute", "unknown_parameter")
    return ".".join(steps)


def _criteria(keyword: str, values: list[str]) -> Iterable[Criterion]:
    """Return the criteria for a key; none for an empty value, which matches everything, PS3.4 C.2.2.2.3."""
    if any(len(value) > _MAX_CHARACTERS or "\0" in value for value in values):
        raise InvalidRequest(f"{keyword}: expected at most {_MAX_CHARACTERS} characters without NUL", "invalid_value")
    if keyword in _LISTS:
        listed = tuple(item for value in values for item in re.split(r"[,\\]", value) if item)
        return [OneOf(keyword, listed)] if listed else []
    if len(values) > 1:
        raise InvalidRequest(f"{keyword}: expected one value, got several", "invalid_value")
    return [_single(keyword, values[0])] if values[0].strip("*") else []


def _single(keyword: str, value: str) -> Criterion:
    if keyword in _RANGES:
        return _range(keyword, value)
    if keyword in _NAMES or re.search(r"[*?]", value):
        pattern = re.sub(r"\*+", "*", value)
        if pattern.count("*") > _MAX_STARS:  # each makes matching slower
            raise InvalidRequest(f"{keyword}: expected at most {_MAX_STARS} wild cards", "invalid_value")
        return Like(keyword, pattern)
    return OneOf(keyword, (value,))


def _range(keyword: str, value: str) -> Criterion:
    bound = _RANGES[keyword]
    match = re.fullmatch(rf"(?P<first>{bound})?(?P<to>-)?(?P<last>{bound})?", value)
    if match is None or not (match["first"] or match["last"]) or (match["first"] and match["last"] and not match["to"]):
        raise InvalidRequest(f"{keyword}: expected a date or time, or a range of them", "invalid_value")
    last = match["last"] or ("" if match["to"] else match["first"])
    fill = _LATEST[len(last) :] if last and bound is _TIME else ""
    return Between(keyword, match["first"] or "", last + fill)


def _number(parameters: QueryParams, name: str, default: int) -> int:
    value = parameters.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise InvalidRequest(f"{name} must be a whole number", "invalid_value")
    return int(value)

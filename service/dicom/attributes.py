"""Attributes of patient, study, series and instance: for lists and queries, never for the network."""

from pydicom import Dataset

from service.dicom.elements import items, text
from service.errors import MalformedDicom

# What a worklist shows and QIDO-RS returns (PS3.18 tables 10.6.3-3 to 10.6.3-5)
KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "InstanceNumber",
    "Modality",
    "Manufacturer",
    "BodyPartExamined",
    "ViewPosition",
    "SeriesDescription",
    "SeriesNumber",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "IssuerOfPatientID",
    "TimezoneOffsetFromUTC",
    "PatientAge",
    "Rows",
    "Columns",
    "BitsAllocated",
)
REQUEST = "RequestAttributesSequence"
# Attributes of its items, with the path by which they are stored and searched
REQUEST_PATHS = {keyword: f"{REQUEST}.{keyword}" for keyword in ("ScheduledProcedureStepID", "RequestedProcedureID")}
_MAX_REQUESTS = 16
MAX_LENGTH = 1024  # characters of a value: a longer one is cut, not refused, as nothing is computed from it


def attributes(dataset: Dataset) -> dict[str, str]:
    r"""Return the values by keyword, as text without control characters; absent and unreadable ones are left out.

    Those of the items of a sequence are by path, one for each item, joined by `\`.
    """
    values = {keyword: _plain(dataset, keyword) for keyword in KEYWORDS} | _requests(dataset)
    return {keyword: value for keyword, value in values.items() if value}


def _requests(dataset: Dataset) -> dict[str, str]:
    try:
        requests = items(dataset, REQUEST)[:_MAX_REQUESTS]
    except MalformedDicom:
        return {}
    values = {
        path: [_plain(request, keyword).replace("\\", "") for request in requests]
        for keyword, path in REQUEST_PATHS.items()
    }
    return {path: "\\".join(several) for path, several in values.items() if any(several)}


def _plain(dataset: Dataset, keyword: str) -> str:
    try:
        value = text(dataset, keyword)
    except MalformedDicom:
        return ""
    return "".join(character for character in value if character.isprintable())[:MAX_LENGTH].strip()

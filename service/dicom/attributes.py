"""Attributes of patient, study, series and instance: for lists and queries, never for the network."""

from pydicom import Dataset

from service.dicom.elements import text
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
    "PatientAge",
    "Rows",
    "Columns",
    "BitsAllocated",
)
MAX_LENGTH = 1024  # characters of a value: a longer one is cut, not refused, as nothing is computed from it


def attributes(dataset: Dataset) -> dict[str, str]:
    """Return the values by keyword, as text without control characters; absent and unreadable ones are left out."""
    values = {keyword: _plain(dataset, keyword) for keyword in KEYWORDS}
    return {keyword: value for keyword, value in values.items() if value}


def _plain(dataset: Dataset, keyword: str) -> str:
    try:
        value = text(dataset, keyword)
    except MalformedDicom:
        return ""
    return "".join(character for character in value if character.isprintable())[:MAX_LENGTH].strip()

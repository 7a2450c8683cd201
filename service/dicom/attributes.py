"""What a radiograph's tags say of patient, study, series and instance: for lists and queries, never for the network."""

from pydicom import Dataset

from service.dicom.elements import text
from service.errors import MalformedDicom

# Those that a worklist shows and that QIDO-RS answers (PS3.18 tables 10.6.3-3 to 10.6.3-5)
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
LENGTH = 1024  # of one value, in characters: a long one is cut, not refused, as nothing is computed from it


def attributes(dataset: Dataset) -> dict[str, str]:
    """Value of each keyword that is there, as text without control characters; unreadable ones are left out."""
    found = {keyword: _plain(dataset, keyword) for keyword in KEYWORDS}
    return {keyword: value for keyword, value in found.items() if value}


def _plain(dataset: Dataset, keyword: str) -> str:
    try:
        value = text(dataset, keyword)
    except MalformedDicom:
        return ""
    return "".join(character for character in value if character.isprintable())[:LENGTH].strip()

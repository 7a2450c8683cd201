"""Codes of findings, body parts and their qualities, in one table.

Public tables for these labels contradict one another. A finding has a published code only where DICOM itself publishes
one with the meaning of the label; a test compares these with pydicom's copy of PS3.16. The others have private codes: a
wrong code is worse than one that a receiver must look up. Cardiomegaly has a private code although it is in PS3.16 CID
12248: the concept there, 287272002, is an enlarged septal foramen in SNOMED CT.
"""

import hashlib
import re
import unicodedata
from typing import NamedTuple

from service.artefact.card import Code, LabelCodes

PRIVATE = "99AGCNN"  # PS3.16 8.1: designators that begin with 99 are private
PRIVATE_NAME = "AG-CNN triage"


class Coded(NamedTuple):
    """A coded concept, and the table that publishes it."""

    value: str
    scheme: str
    meaning: str
    source: str


class Row(NamedTuple):
    """A finding, and its site in the body."""

    finding: Coded
    site: Coded


LUNG = Coded("39607008", "SCT", "Lung", "PS3.16 CID 4")
HEART = Coded("80891009", "SCT", "Heart", "PS3.16 CID 4")
PLEURA = Coded("3120008", "SCT", "Pleural structure", "PS3.16 CID 6100")
CHEST = Coded("816094009", "SCT", "Chest", "PS3.16 CID 4031")

PROBABILITY = Coded("122157", "DCM", "Probability", "PS3.16 Annex D")
THRESHOLD = Coded("122411", "DCM", "Threshold Value", "PS3.16 Annex D")
SENSITIVITY = Coded("111088", "DCM", "Case Sensitivity", "PS3.16 CID 6048")
SPECIFICITY = Coded("111090", "DCM", "Case Specificity", "PS3.16 CID 6048")
PRESENT = Coded("52101004", "SCT", "Present", "PS3.16 CID 240")
ABSENT = Coded("272519000", "SCT", "Absent", "PS3.16 CID 240")
PERCENT = Coded("%", "UCUM", "Percent", "PS3.16 CID 82")
CLASS_ACTIVATION = Coded("130402", "DCM", "Class activation", "PS3.16 CID 217")
SPATIAL_CONCEPT = Coded("309825002", "SCT", "Spatial and Relational Concept", "PS3.16 CID 7150")
SOURCE = Coded("121322", "DCM", "Source image for image processing operation", "PS3.16 CID 7202")
LENGTH = Coded("410668003", "SCT", "Length", "PS3.16 CID 7470")
ANGLE = Coded("1483009", "SCT", "Angle", "PS3.16 CID 12304")
MILLIMETRE = Coded("mm", "UCUM", "mm", "PS3.16 CID 7460")
PIXELS = Coded("{pixels}", "UCUM", "Pixels", "UCUM, annotation")
DEGREE = Coded("deg", "UCUM", "Degree", "PS3.16 CID 7183")
RATIO = Coded("{ratio}", "UCUM", "ratio", "PS3.16 CID 7181")
PERSON = Coded("121006", "DCM", "Person", "PS3.16 CID 270")
DEVICE = Coded("121007", "DCM", "Device", "PS3.16 CID 270")
COMMENT = Coded("121106", "DCM", "Comment", "PS3.16 Annex D")
QUALITATIVE_EVALUATIONS = Coded("C0034375", "UMLS", "Qualitative Evaluations", "PS3.16 TID 1500")
RADIOGRAPHY = Coded("43468-8", "LN", "XR unspecified body region", "PS3.16 CID 100")
IMAGING_STUDY_REPORT = Coded("18748-4", "LN", "Diagnostic Imaging Report", "PS3.16 CID 7000")
ARTIFICIAL_INTELLIGENCE = Coded("123110", "DCM", "Artificial Intelligence", "PS3.16 CID 7162")


def _private(value: str, meaning: str) -> Coded:
    return Coded(value, PRIVATE, meaning, "this project")


UNDECIDED = _private("UNDECIDED", "Undecided, no operating point")
ATTENTION_SHARE = _private("ATTENTION_SHARE", "Attention, share of the image")
ATTENTION = _private("ATTENTION", "Region of attention of the network")
PRIORITY = _private("PRIORITY", "Priority in the worklist")
# PS3.16 has codes for ratios of areas and circumferences of the fetal heart only.
CARDIOTHORACIC_RATIO = _private("CT_RATIO", "Cardiothoracic ratio")
CARDIAC_WIDTH = _private("CARDIAC_WIDTH", "Transverse diameter of the heart")
THORACIC_WIDTH = _private("THORACIC_WIDTH", "Inner transverse diameter of the thorax")
FLAG = _private("FLAG", "Suspicious, yet usable")
PRIORITIES = {
    "STAT": _private("STAT", "Read first"),
    "HIGH": _private("HIGH", "Read soon"),
    "ROUTINE": _private("ROUTINE", "Read in turn"),
}

_TABLE = {
    "Atelectasis": Row(_private("ATELECTASIS", "Atelectasis"), LUNG),
    "Cardiomegaly": Row(_private("CARDIOMEGALY", "Cardiomegaly"), HEART),
    "Effusion": Row(Coded("60046008", "SCT", "Pleural effusion", "PS3.16 CID 645"), PLEURA),
    "Infiltration": Row(Coded("112121", "DCM", "Infiltrate", "PS3.16 CID 6104"), LUNG),
    "Mass": Row(Coded("4147007", "SCT", "Mass", "PS3.16 CID 6104"), LUNG),
    "Nodule": Row(Coded("27925004", "SCT", "Nodule", "PS3.16 CID 6104"), LUNG),
    "Pneumonia": Row(_private("PNEUMONIA", "Pneumonia"), LUNG),
    "Pneumothorax": Row(Coded("36118008", "SCT", "Pneumothorax", "PS3.16 CID 6102"), PLEURA),
    "Consolidation": Row(_private("CONSOLIDATION", "Consolidation"), LUNG),
    "Edema": Row(Coded("19242006", "SCT", "Pulmonary edema", "PS3.16 CID 3700"), LUNG),
    "Emphysema": Row(_private("EMPHYSEMA", "Emphysema"), LUNG),
    "Fibrosis": Row(Coded("112674009", "SCT", "Fibrosis", "PS3.16 CID 6335"), LUNG),
    "Pleural_Thickening": Row(_private("PLEURAL_THICK", "Pleural thickening"), PLEURA),
    "Hernia": Row(_private("HERNIA", "Hernia"), CHEST),
}
LABELS = tuple(_TABLE)
_PLAIN = re.compile("[A-Z0-9_]{1,16}")
_STEM = 11  # characters of a label in its private code, which leaves room for the digest
_MEANING = 64  # characters of an LO
_MEASURED = (CARDIOTHORACIC_RATIO, CARDIAC_WIDTH, THORACIC_WIDTH)
_RESERVED = {
    coded.value for coded in (UNDECIDED, ATTENTION_SHARE, ATTENTION, PRIORITY, FLAG, *_MEASURED, *PRIORITIES.values())
}


def row(label: str, codes: LabelCodes | None = None) -> Row:
    """Return the row of a label: the codes of site or artefact, else the table's, else a private code."""
    if codes is not None:
        return Row(_stated(codes.finding), _stated(codes.site))
    return _TABLE.get(label) or Row(_private(_private_value(label), _shortened(label)), CHEST)


def _stated(code: Code) -> Coded:
    return Coded(code.value, code.scheme, code.meaning, "site or artefact")


def _private_value(label: str) -> str:
    """Return a private code that fits an SH, PS3.5 6.2, with a digest where the label cannot be read back from it."""
    plain = label.upper().replace(" ", "_")
    if _PLAIN.fullmatch(plain) and plain not in _RESERVED:
        return plain
    ascii = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    stem = re.sub("[^A-Z0-9]+", "_", ascii)[:_STEM].strip("_")
    return f"{stem}_{hashlib.sha256(label.encode()).hexdigest()[:4].upper()}".removeprefix("_")


def _shortened(label: str) -> str:
    return label if len(label) <= _MEANING else f"{label[: _MEANING - 1]}…"

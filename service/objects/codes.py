"""What the findings, and what is said of them, are called in coded terminologies: one table.

Public tables for these labels contradict one another, so a row stands here only where DICOM itself publishes the code
for what the label means; a test holds these against pydicom's copy of PS3.16. The others have a code of this project's
own: a wrong code is worse than one that a receiver must look up. Cardiomegaly is one of them although PS3.16 CID 12248
has it: the concept it names there, 287272002, is an enlarged septal foramen in SNOMED CT.
"""

from typing import NamedTuple

PRIVATE = "99AGCNN"  # PS3.16 8.1: designators that begin with 99 are private
PRIVATE_NAME = "AG-CNN triage"


class Coded(NamedTuple):
    """A coded concept, and where it stands."""

    value: str
    scheme: str
    meaning: str
    source: str


class Row(NamedTuple):
    """A finding, and where in the body it is."""

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
DEVICE = Coded("121007", "DCM", "Device", "PS3.16 CID 270")
COMMENT = Coded("121106", "DCM", "Comment", "PS3.16 Annex D")
QUALITATIVE_EVALUATIONS = Coded("C0034375", "UMLS", "Qualitative Evaluations", "PS3.16 TID 1500")
RADIOGRAPHY = Coded("43468-8", "LN", "XR unspecified body region", "PS3.16 CID 100")
IMAGING_STUDY_REPORT = Coded("18748-4", "LN", "Diagnostic Imaging Report", "PS3.16 CID 7000")
ARTIFICIAL_INTELLIGENCE = Coded("123110", "DCM", "Artificial Intelligence", "PS3.16 CID 7162")


def _own(value: str, meaning: str) -> Coded:
    return Coded(value, PRIVATE, meaning, "this project")


AT_OPERATING_POINT = _own("OPERATING_POINT", "At the operating point")
ATTENTION = _own("ATTENTION", "Region of attention of the network")
PRIORITY = _own("PRIORITY", "Priority in the worklist")
FLAG = _own("FLAG", "Suspicious, yet usable")
PRIORITIES = {
    "STAT": _own("STAT", "Read first"),
    "HIGH": _own("HIGH", "Read soon"),
    "ROUTINE": _own("ROUTINE", "Read in turn"),
}

_TABLE = {
    "Atelectasis": Row(_own("ATELECTASIS", "Atelectasis"), LUNG),
    "Cardiomegaly": Row(_own("CARDIOMEGALY", "Cardiomegaly"), HEART),
    "Effusion": Row(Coded("60046008", "SCT", "Pleural effusion", "PS3.16 CID 645"), PLEURA),
    "Infiltration": Row(Coded("112121", "DCM", "Infiltrate", "PS3.16 CID 6104"), LUNG),
    "Mass": Row(Coded("4147007", "SCT", "Mass", "PS3.16 CID 6104"), LUNG),
    "Nodule": Row(Coded("27925004", "SCT", "Nodule", "PS3.16 CID 6104"), LUNG),
    "Pneumonia": Row(_own("PNEUMONIA", "Pneumonia"), LUNG),
    "Pneumothorax": Row(Coded("36118008", "SCT", "Pneumothorax", "PS3.16 CID 6102"), PLEURA),
    "Consolidation": Row(_own("CONSOLIDATION", "Consolidation"), LUNG),
    "Edema": Row(Coded("19242006", "SCT", "Pulmonary edema", "PS3.16 CID 3700"), LUNG),
    "Emphysema": Row(_own("EMPHYSEMA", "Emphysema"), LUNG),
    "Fibrosis": Row(Coded("112674009", "SCT", "Fibrosis", "PS3.16 CID 6335"), LUNG),
    "Pleural_Thickening": Row(_own("PLEURAL_THICK", "Pleural thickening"), PLEURA),
    "Hernia": Row(_own("HERNIA", "Hernia"), CHEST),
}
LABELS = tuple(_TABLE)


def row(label: str) -> Row:
    """The row of a label; another network's label gets a private code, cut to what an SH holds."""
    return _TABLE.get(label) or Row(_own(label.upper()[:16], label), CHEST)  # PS3.5 6.2

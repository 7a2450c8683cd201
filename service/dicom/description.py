"""Code strings, codes and descriptions that say what an image shows, as the gate reads them."""

from dataclasses import dataclass

from pydicom import Dataset

from service.dicom.elements import items, text
from service.dicom.header import readable_values

# Attributes that describe the image itself; the protocol and the processing are chosen for each image.
IMAGE_DESCRIPTIONS = ("AcquisitionDeviceProcessingDescription", "SeriesDescription", "ProtocolName")
# Attributes that describe the whole examination, which may have several images.
STUDY_DESCRIPTIONS = (
    "PerformedProcedureStepDescription",
    "StudyDescription",
    "RequestedProcedureDescription",
    "ProcedureCodeSequence",
    "RequestAttributesSequence",
)
# What an item of a sequence says in words
_TEXTS = ("CodeMeaning", "ScheduledProcedureStepDescription", "RequestedProcedureDescription")
MAX_ITEMS = 8  # items of a sequence that are read: a file may hold thousands, an image needs one or two
SNOMED = ("SCT", "SRT", "SNM3", "99SDM")


@dataclass(frozen=True)
class Code:
    """A coded concept."""

    value: str
    scheme: str
    meaning: str

    @property
    def is_snomed(self) -> bool:
        """Whether the value is of SNOMED, by any of the names that DICOM has had for it."""
        return self.scheme in SNOMED


def codes(dataset: Dataset, keyword: str) -> tuple[Code, ...]:
    """Return the concepts of a code sequence, at most `MAX_ITEMS`.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    return tuple(
        Code(text(item, "CodeValue"), text(item, "CodingSchemeDesignator").upper(), text(item, "CodeMeaning"))
        for item in items(dataset, keyword)[:MAX_ITEMS]
    )


def description(dataset: Dataset, keyword: str) -> str:
    """Return free text, or that of a sequence's items; empty where it cannot be read, as no pixel needs it."""
    values = readable_values(dataset, keyword)[:MAX_ITEMS]
    nested = [value for item in values if isinstance(item, Dataset) for value in _texts(item)]
    joined = " ".join(value for value in (*values, *nested) if isinstance(value, str))
    return _as_utf8(joined) or joined


def code_string(dataset: Dataset, keyword: str) -> str:
    """Return a value of VR CS, which may hold other characters than the ASCII of PS3.5 6.2.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    value = text(dataset, keyword)
    return _as_utf8(value) or value


def _texts(item: Dataset) -> list[object]:
    return [value for keyword in _TEXTS for value in readable_values(item, keyword)]


def _as_utf8(value: str) -> str:
    """Text that was read as Latin-1 although its bytes are UTF-8; empty where they are not."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return ""

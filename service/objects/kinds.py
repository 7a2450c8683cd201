"""The one table of the kinds of objects that are made from a prediction, beside JSON and pictures.

It imports no other module of the service, so that settings, routes and queries can all name a kind.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Form:
    """Properties that all objects of a kind share; a test compares them with the objects made.

    Attributes
    ----------
    content
        What the object holds, for the documentation of its route.
    media_type, suffix
        Content-Type and ending of the file.
    sop_class_uid, modality, series_number, series_description
        DICOM attributes; empty, and 0, for other kinds.
    is_place
        Whether the object is there to show a place in the image: a map, a box or a region.
    """

    content: str
    media_type: str = "application/dicom"
    suffix: str = "dcm"
    sop_class_uid: str = ""
    modality: str = ""
    series_number: int = 0
    series_description: str = ""
    is_place: bool = False


class Kind(StrEnum):
    """Name of a kind of object; stable, because URLs, settings and the outbox contain it."""

    SR = "sr"
    SEGMENTATION = "segmentation"
    SECONDARY_CAPTURE = "secondary_capture"
    PRESENTATION_STATE = "presentation_state"
    BINARY_SEGMENTATION = "binary_segmentation"
    FHIR = "fhir"
    HL7 = "hl7"
    NOTIFICATION = "notification"

    @property
    def form(self) -> Form:
        """Entry of the table."""
        return _FORMS[self]

    @property
    def file_name(self) -> str:
        """Last part of the object's URL, such as `sr.dcm`."""
        return f"{self}.{self.form.suffix}"


_FORMS = {
    Kind.SR: Form(
        "the findings and the readers' measurements as a Comprehensive 3D SR, TID 1500",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        modality="SR",
        series_number=9901,
        series_description="AI triage findings",
    ),
    Kind.SEGMENTATION: Form(
        "the heat map, and the class maps of positive findings, as a fractional Segmentation",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        modality="SEG",
        series_number=9902,
        series_description="AI attention maps",
        is_place=True,
    ),
    Kind.SECONDARY_CAPTURE: Form(
        "the overlay as a Secondary Capture",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        modality="OT",
        series_number=9903,
        series_description="AI overlay",
        is_place=True,
    ),
    Kind.PRESENTATION_STATE: Form(
        "the box and the positive findings as a Grayscale Softcopy Presentation State",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.11.1",
        modality="PR",
        series_number=9904,
        series_description="AI attention box",
        is_place=True,
    ),
    Kind.BINARY_SEGMENTATION: Form(
        "the region of attention, and the upper half of the class maps of positive findings, as a binary Segmentation",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        modality="SEG",
        series_number=9905,
        series_description="AI attention regions",
        is_place=True,
    ),
    Kind.FHIR: Form(
        "the findings as a FHIR R4 bundle: DiagnosticReport, Observations, Device", "application/fhir+json", "json"
    ),
    # No media type is registered; this is the one that HL7 over HTTP of the HAPI project defined.
    Kind.HL7: Form("the findings as an HL7 v2.5.1 message, ORU^R01", "x-application/hl7-v2+er7", "hl7"),
    Kind.NOTIFICATION: Form("the notification of a webhook, without the patient", "application/json", "json"),
}
DICOM_KINDS = tuple(kind for kind in Kind if kind.form.sop_class_uid)


class Presentation(StrEnum):
    """What is shown of a prediction: all of it, or its priority and findings without any place in the image."""

    FULL = "full"
    TRIAGE_ONLY = "triage_only"

    def shows(self, kind: Kind) -> bool:
        """Return whether objects of a kind are made."""
        return self is Presentation.FULL or not kind.form.is_place

    def series(self, kind: Kind) -> str:
        """Return the name that stands for the series of an object in UIDs."""
        return kind if self is Presentation.FULL or kind is not Kind.SR else f"{kind}-{self}"

    def part(self, kind: Kind, revision: int) -> str:
        """Return the name that stands for an object in UIDs and in the cache: one name never means two contents.

        Parameters
        ----------
        revision
            Number of changes of the record's measurements, which are in the SR.
        """
        return f"{self.series(kind)}-{revision}" if kind is Kind.SR and revision else self.series(kind)

"""What a viewer finds in a study: the radiographs that are stored, and beside each what is made of it on demand."""

from dataclasses import dataclass

from service.reporting.objects import Kind
from service.reporting.report import uid
from service.storage.record import Summary

# For the few files that do not say: what they are is decided by Modality.
_CLASSES = {"DX": "1.2.840.10008.5.1.4.1.1.1.1", "CR": "1.2.840.10008.5.1.4.1.1.1"}


@dataclass(frozen=True)
class Form:
    """What is known of an object before it is made; a test holds it against those that are made."""

    sop_class_uid: str
    modality: str
    series_number: str
    description: str


FORMS: dict[Kind, Form] = {
    "sr": Form("1.2.840.10008.5.1.4.1.1.88.34", "SR", "9901", "AI triage findings"),
    "segmentation": Form("1.2.840.10008.5.1.4.1.1.66.4", "SEG", "9902", "AI attention maps"),
    "secondary_capture": Form("1.2.840.10008.5.1.4.1.1.7", "OT", "9903", "AI overlay"),
    "presentation_state": Form("1.2.840.10008.5.1.4.1.1.11.1", "PR", "9904", "AI attention box"),
}


@dataclass(frozen=True, eq=False)
class Entry:
    """One instance of a study.

    Attributes
    ----------
    kind
        None for the radiograph that was sent, else what is made of it.
    record
        What it is made of, or an answer to the radiograph.
    attributes
        Of series and instance, by keyword; those of patient and study are the record's.
    """

    kind: Kind | None
    record: Summary
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    attributes: dict[str, str]

    @property
    def study_instance_uid(self) -> str:
        """The study that all of them are of."""
        return self.record.study_instance_uid


def entries(records: tuple[Summary, ...]) -> tuple[Entry, ...]:
    """List what there is of records: each radiograph once, also where several artefacts have answered it."""
    radiographs = {record.sop_instance_uid: _radiograph(record) for record in records}
    return (*radiographs.values(), *(made(record, kind) for record in records for kind in FORMS))


def made(record: Summary, kind: Kind) -> Entry:
    """The entry of an object that is made of a record."""
    form = FORMS[kind]
    told = {
        "Modality": form.modality,
        "SeriesNumber": form.series_number,
        "SeriesDescription": form.description,
        "InstanceNumber": "1",
    }
    return Entry(kind, record, uid(record.id, f"{kind}/series"), uid(record.id, kind), form.sop_class_uid, told)


def sop_class(record: Summary) -> str:
    """The SOP Class UID of the radiograph of a record."""
    return record.attributes.get("SOPClassUID") or _CLASSES.get(record.attributes.get("Modality", ""), _CLASSES["CR"])


def _radiograph(record: Summary) -> Entry:
    return Entry(
        None,
        record,
        record.series_instance_uid,
        record.sop_instance_uid,
        sop_class(record),
        record.attributes,
    )

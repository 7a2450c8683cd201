"""What a viewer finds in a study: the radiographs that are stored, and beside each what is made of it on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from service.objects.kinds import DICOM_KINDS, Kind
from service.objects.product import uid
from service.storage.record import Summary

# SOP class by Modality, for the few files that do not name one.
_CLASSES = {"DX": "1.2.840.10008.5.1.4.1.1.1.1", "CR": "1.2.840.10008.5.1.4.1.1.1"}


MADE = frozenset(kind.form.modality for kind in DICOM_KINDS)


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
        Of study, series and instance, by keyword, UIDs among them.
    """

    kind: Kind | None
    record: Summary
    attributes: dict[str, str]

    @property
    def series(self) -> str:
        """Series Instance UID."""
        return self.attributes["SeriesInstanceUID"]

    @property
    def instance(self) -> str:
        """SOP Instance UID."""
        return self.attributes["SOPInstanceUID"]


def entries(records: Sequence[Summary]) -> tuple[Entry, ...]:
    """List what there is of records: each radiograph once, also where several artefacts have answered it."""
    radiographs = {record.sop_instance_uid: _radiograph(record) for record in records}
    return (*radiographs.values(), *(_made(record, kind) for record in records for kind in DICOM_KINDS))


def series(of: Sequence[Entry]) -> tuple[tuple[Entry, ...], ...]:
    """Put the entries of each series together, in the order of the series' first."""
    first = {entry.series: place for place, entry in reversed(list(enumerate(of)))}
    ordered = sorted(of, key=lambda entry: first[entry.series])
    return tuple(tuple(group) for _, group in groupby(ordered, key=lambda entry: entry.series))


def sop_class(record: Summary) -> str:
    """The SOP Class UID of the radiograph of a record."""
    return record.attributes.get("SOPClassUID") or _CLASSES.get(record.attributes.get("Modality", ""), _CLASSES["CR"])


_OF_STUDY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("StudyDate", "StudyTime", "StudyID", "StudyDescription", "ReferringPhysicianName"),
)


def _of_study(record: Summary) -> dict[str, str]:
    told = {keyword: record.attributes[keyword] for keyword in _OF_STUDY if keyword in record.attributes}
    return told | {"StudyInstanceUID": record.study_instance_uid, "AccessionNumber": record.accession_number}


def _radiograph(record: Summary) -> Entry:
    told = record.attributes | _of_study(record)
    uids = {
        "SeriesInstanceUID": record.series_instance_uid,
        "SOPInstanceUID": record.sop_instance_uid,
        "SOPClassUID": sop_class(record),
    }
    return Entry(None, record, told | uids)


def _made(record: Summary, kind: Kind) -> Entry:
    form = kind.form
    told = {
        "SeriesInstanceUID": uid(record.id, f"{kind}/series"),
        "SOPInstanceUID": uid(record.id, kind),
        "SOPClassUID": form.sop_class_uid,
        "Modality": form.modality,
        "SeriesNumber": str(form.series_number),
        "SeriesDescription": form.series_description,
        "InstanceNumber": "1",
    }
    return Entry(kind, record, _of_study(record) | told)

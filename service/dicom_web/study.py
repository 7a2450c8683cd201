"""The instances of a study: the stored radiographs, and the objects derived from each on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from service.dicom.attributes import REQUEST_PATHS
from service.objects.kinds import DICOM_KINDS, Kind, Presentation
from service.objects.product import uid
from service.storage.record import Summary

# SOP class by Modality, for files without one
_CLASSES = {"DX": "1.2.840.10008.5.1.4.1.1.1.1", "CR": "1.2.840.10008.5.1.4.1.1.1"}


@dataclass(frozen=True, eq=False)
class Entry:
    """One instance of a study.

    Attributes
    ----------
    kind
        None for a stored radiograph, else the kind of the derived object.
    record
        Record of the radiograph, or of the radiograph that the object is derived from.
    attributes
        Attributes of study, series and instance by keyword, including the UIDs.
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

    @property
    def requests(self) -> tuple[dict[str, str], ...]:
        """Attributes of each item of Request Attributes Sequence, by path."""
        columns = {
            path: self.attributes[path].split("\\") for path in REQUEST_PATHS.values() if path in self.attributes
        }
        count = max(map(len, columns.values()), default=0)
        return tuple({path: values[place] for path, values in columns.items()} for place in range(count))

    @property
    def has_pixels(self) -> bool:
        """Whether the instance has frames."""
        return self.kind not in (Kind.SR, Kind.PRESENTATION_STATE)

    @property
    def is_picture(self) -> bool:
        """Whether the instance can be drawn: a radiograph or a secondary capture."""
        return self.kind in (None, Kind.SECONDARY_CAPTURE)

    @property
    def path(self) -> str:
        """Path of the instance under the root of DICOMweb."""
        return f"studies/{self.record.study_instance_uid}/series/{self.series}/instances/{self.instance}"


def derived_kinds(presentation: Presentation) -> tuple[Kind, ...]:
    """Return the kinds of objects that stand beside a radiograph."""
    return tuple(kind for kind in DICOM_KINDS if presentation.shows(kind))


def entries(records: Sequence[Summary], presentation: Presentation) -> tuple[Entry, ...]:
    """Return the instances of records; a radiograph with several records is listed once."""
    radiographs = {record.sop_instance_uid: _radiograph(record) for record in records}
    kinds = derived_kinds(presentation)
    return (*radiographs.values(), *(_derived(record, kind, presentation) for record in records for kind in kinds))


def by_series(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], ...]:
    """Group entries by series, in the order of the first entry of each series."""
    first = {entry.series: place for place, entry in reversed(list(enumerate(entries)))}
    ordered = sorted(entries, key=lambda entry: first[entry.series])
    return tuple(tuple(group) for _, group in groupby(ordered, key=lambda entry: entry.series))


def sop_class(record: Summary) -> str:
    """Return the SOP Class UID of the radiograph of a record."""
    return record.attributes.get("SOPClassUID") or _CLASSES.get(record.attributes.get("Modality", ""), _CLASSES["CR"])


_STUDY_KEYWORDS = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("StudyDate", "StudyTime", "StudyID", "StudyDescription", "ReferringPhysicianName"),
    *("TimezoneOffsetFromUTC", *REQUEST_PATHS.values()),  # which the derived objects have, too
)


def _study_attributes(record: Summary) -> dict[str, str]:
    attributes = {keyword: record.attributes[keyword] for keyword in _STUDY_KEYWORDS if keyword in record.attributes}
    return attributes | {"StudyInstanceUID": record.study_instance_uid, "AccessionNumber": record.accession_number}


def _radiograph(record: Summary) -> Entry:
    attributes = record.attributes | _study_attributes(record)
    uids = {
        "SeriesInstanceUID": record.series_instance_uid,
        "SOPInstanceUID": record.sop_instance_uid,
        "SOPClassUID": sop_class(record),
    }
    return Entry(None, record, attributes | uids)


def _derived(record: Summary, kind: Kind, presentation: Presentation) -> Entry:
    form, revision = kind.form, record.revision if kind is Kind.SR else 0
    attributes = {
        "SeriesInstanceUID": uid(record.id, f"{presentation.series(kind)}/series"),
        "SOPInstanceUID": uid(record.id, presentation.part(kind, revision)),
        "SOPClassUID": form.sop_class_uid,
        "Modality": form.modality,
        "SeriesNumber": str(form.series_number),
        "SeriesDescription": form.series_description,
        "InstanceNumber": str(1 + revision),
    }
    return Entry(kind, record, _study_attributes(record) | attributes)

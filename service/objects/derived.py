"""What all derived DICOM objects share: equipment, dates, and the file around them.

The same object is the same bytes every time: UIDs are derived from the record, and dates are those of the record and of
its measurements.
"""

from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from io import BytesIO
from typing import Any

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import CodedConcept
from pydicom import DataElement, Dataset

from service.artefact.card import NOTICE
from service.objects.codes import ARTIFICIAL_INTELLIGENCE, PRIVATE, PRIVATE_NAME, SOURCE, Coded
from service.objects.kinds import Kind, Presentation
from service.objects.product import NAME, REPOSITORY, VERSION, uid
from service.objects.source import Source
from service.storage.record import Record

_DATED = ("InstanceCreation", "Content", "PresentationCreation")
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")  # the VRs to which Specific Character Set applies, PS3.5 6.1.2.2


def identity(record: Record, kind: Kind, presentation: Presentation = Presentation.FULL) -> dict[str, Any]:
    """Return what highdicom's constructors require for every object: a series of its own, and the equipment."""
    revision = record.revision if kind is Kind.SR else 0
    return {
        "series_instance_uid": uid(record.id, f"{presentation.series(kind)}/series"),
        "series_number": kind.form.series_number,
        "sop_instance_uid": uid(record.id, presentation.part(kind, revision)),
        "instance_number": 1 + revision,
        "series_description": kind.form.series_description,
        "manufacturer": NAME,
        "manufacturer_model_name": record.prediction.network.name[:64],  # LO
        "software_versions": (VERSION, record.prediction.network.version[:64]),
        "device_serial_number": record.prediction.network.sha256,  # 64 digits fit an LO
    }


def concept(coded: Coded) -> CodedConcept:
    """Convert a coded concept to highdicom's."""
    return CodedConcept(coded.value, coded.scheme, coded.meaning)


def algorithm(record: Record) -> AlgorithmIdentificationSequence:
    """Describe the network as the algorithm of a segment."""
    network = record.prediction.network
    return AlgorithmIdentificationSequence(
        network.name[:64],
        concept(ARTIFICIAL_INTELLIGENCE),
        network.version[:64],
        parameters={"SHA-256": network.sha256},
    )


def remarks(record: Record) -> list[str]:
    """Return the notice and the flags of the radiograph, which every object must state."""
    return [NOTICE, *(f"Flag: {flag}" for flag in record.prediction.flags)]


def file(derived: Dataset, record: Record, source: Source) -> bytes:
    """Complete an object that highdicom made, and write it as a Part 10 file."""
    derived.ContentQualification = "RESEARCH"
    is_report = derived.Modality == Kind.SR.form.modality
    if source.requests and not is_report:  # an SR has Referenced Request Sequence instead
        derived.RequestAttributesSequence = deepcopy(source.requests)
    derived.CodingSchemeIdentificationSequence = list(_private_schemes(record))
    made = creation_time(record, source)
    changed = record.revised.astimezone(made.tzinfo) if is_report and record.revised else made
    _date(derived, made, changed)
    if offset := source.header.get("TimezoneOffsetFromUTC"):
        derived.TimezoneOffsetFromUTC = offset
    for item in _items(derived):
        if item.get("ReferencedSOPInstanceUID") == source.header.SOPInstanceUID:
            item.ReferencedSOPClassUID = source.sop_class_uid
    if all(_is_ascii(item) for item in _items(derived)):
        derived.pop("SpecificCharacterSet", None)
    else:
        derived.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
    stream = BytesIO()
    derived.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _private_schemes(record: Record) -> Iterator[Dataset]:
    """Yield an item for this project's scheme, and for each private one of the site or the artefact."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = PRIVATE, PRIVATE_NAME
    scheme.CodingSchemeResponsibleOrganization = REPOSITORY
    yield scheme
    stated = [finding.codes for finding in record.prediction.findings if finding.codes is not None]
    names = {code.scheme for codes in stated for code in (codes.finding, codes.site)}
    for name in sorted(names - {PRIVATE}):
        if name.startswith("99"):  # PS3.16 8.1
            scheme = Dataset()
            scheme.CodingSchemeDesignator = name
            yield scheme


def even(pixels: bytes) -> bytes:
    """Pad Pixel Data to an even length, PS3.5 8.1.1."""
    return pixels + b"\0" if len(pixels) % 2 else pixels


def reference(source: Source) -> Dataset:
    """Return an item of Source Image Sequence for the radiograph, PS3.3 C.12.4.1."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.sop_class_uid, source.header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [concept(SOURCE)]
    return item


def creation_time(record: Record, source: Source) -> datetime:
    """Return the time of the record, in the source's time zone if it states one, else in that of this machine."""
    offset = source.header.get("TimezoneOffsetFromUTC")
    return record.created.astimezone(datetime.strptime(offset, "%z").tzinfo if offset else None)


def _date(derived: Dataset, made: datetime, changed: datetime) -> None:
    """Set the date of the series to the record's, and the others to that of the content; highdicom set the current."""
    day, time = changed.strftime("%Y%m%d"), changed.strftime("%H%M%S.%f")
    for keyword in _DATED:
        if f"{keyword}Date" in derived:
            derived[f"{keyword}Date"] = DataElement(f"{keyword}Date", "DA", day)
            derived[f"{keyword}Time"] = DataElement(f"{keyword}Time", "TM", time)
    derived.SeriesDate, derived.SeriesTime = made.strftime("%Y%m%d"), made.strftime("%H%M%S.%f")
    if "DateOfSecondaryCapture" in derived:
        derived.DateOfSecondaryCapture, derived.TimeOfSecondaryCapture = day, time
    for equipment in derived.get("ContributingEquipmentSequence", ()):
        equipment.pop("ContributionDateTime", None)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Yield the data set, and every item in it at any depth."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _items(item)


def _is_ascii(item: Dataset) -> bool:
    texts = (element.value for element in item if element.VR in _TEXT)
    return all(str(value).isascii() for value in texts)

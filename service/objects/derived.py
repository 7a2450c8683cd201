"""What all derived DICOM objects share: who made them, when, and the file around them.

Asked for twice, an object is the same, byte for byte: UIDs are derived from the record, and dates are the record's.
"""

from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from typing import Any

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import CodedConcept
from pydicom import DataElement, Dataset

from service.objects.codes import ARTIFICIAL_INTELLIGENCE, PRIVATE, PRIVATE_NAME, SOURCE, Coded
from service.objects.overlay import NOTICE
from service.objects.report import NAME, REPOSITORY, VERSION, Report
from service.objects.source import Source

_MADE = ("InstanceCreation", "Content", "Series", "PresentationCreation")
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")  # PS3.5 6.1.2.2: what Specific Character Set is of


def identity(report: Report, kind: str, series_number: int, description: str) -> dict[str, Any]:
    """What highdicom's constructors ask of every object: a series of its own in the study, and who made it."""
    return {
        "series_instance_uid": report.uid(f"{kind}/series"),
        "series_number": series_number,
        "sop_instance_uid": report.uid(kind),
        "instance_number": 1,
        "series_description": f"AI {description}",
        "manufacturer": NAME,
        "manufacturer_model_name": report.network.name[:64],  # LO
        "software_versions": (VERSION, report.network.version[:64]),
        "device_serial_number": report.network.sha256,  # 64 digits are what an LO holds
    }


def concept(coded: Coded) -> CodedConcept:
    """A coded concept as highdicom takes it."""
    return CodedConcept(coded.value, coded.scheme, coded.meaning)


def algorithm(report: Report) -> AlgorithmIdentificationSequence:
    """The network as the algorithm of a segment."""
    network = report.network
    return AlgorithmIdentificationSequence(
        network.name[:64],
        concept(ARTIFICIAL_INTELLIGENCE),
        network.version[:64],
        parameters={"SHA-256": network.sha256},
    )


def remarks(report: Report) -> list[str]:
    """What must stand in every object: what it is not, and what is suspicious of the radiograph."""
    return [NOTICE, *(f"Flag: {flag}" for flag in report.flags)]


def file(derived: Dataset, report: Report, source: Source) -> bytes:
    """Make a Part 10 file of an object as highdicom leaves it."""
    derived.ContentQualification = "RESEARCH"
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = PRIVATE, PRIVATE_NAME
    scheme.CodingSchemeResponsibleOrganization = REPOSITORY
    derived.CodingSchemeIdentificationSequence = [scheme]
    _date(derived, moment(report, source))
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


def reference(source: Source) -> Dataset:
    """The source as one that an image was derived from, PS3.3 C.12.4.1."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.sop_class_uid, source.header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [concept(SOURCE)]
    return item


def moment(report: Report, source: Source) -> datetime:
    """When the record was made: in the source's time zone, else in this machine's, as every device writes its dates."""
    offset = source.header.get("TimezoneOffsetFromUTC")
    return report.created.astimezone(datetime.strptime(offset, "%z").tzinfo if offset else None)


def _date(derived: Dataset, made: datetime) -> None:
    """Every date is the record's: highdicom took the clock's."""
    day, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S.%f")
    for keyword in _MADE:
        if f"{keyword}Date" in derived or keyword == "Series":
            derived[f"{keyword}Date"] = DataElement(f"{keyword}Date", "DA", day)
            derived[f"{keyword}Time"] = DataElement(f"{keyword}Time", "TM", time)
    if "DateOfSecondaryCapture" in derived:
        derived.DateOfSecondaryCapture, derived.TimeOfSecondaryCapture = day, time
    for equipment in derived.get("ContributingEquipmentSequence", ()):
        equipment.pop("ContributionDateTime", None)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """A data set, and every item in it, however deep."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _items(item)


def _is_ascii(item: Dataset) -> bool:
    texts = (element.value for element in item if element.VR in _TEXT)
    return all(str(value).isascii() for value in texts)

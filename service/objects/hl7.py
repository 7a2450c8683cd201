"""The result as an HL7 v2.5.1 message, ORU^R01: preliminary findings for a RIS, a worklist or an interface engine.

Identifiers are placed as the IHE Radiology Technical Framework places them: the accession number in OBR-18, requested
procedure and scheduled step in OBR-19 and OBR-20 (RAD-4), the study as an OBX of 113014 (RAD-28). The message here is
for no particular receiver; `sending.hl7_envelope` addresses it.
"""

import base64
from collections.abc import Iterator
from datetime import UTC

from pydicom import Dataset

from service.artefact.card import NOTICE
from service.dicom.header import normalised, readable_values
from service.objects import codes
from service.objects.codes import Coded
from service.objects.hl7_text import ENCODING_CHARACTERS, components, escaped, message, person, segment, timestamp
from service.objects.product import NAME, uuid
from service.objects.source import Source
from service.storage.record import Record
from service.triage.finding import Finding

APPLICATION = "TRIAGE"
CHARACTER_SET = "UNICODE UTF-8"  # table 0211
# HL7 v2.5.1 table 0485; table 0027 of OBR-5 has the same letters.
PRIORITIES = {"STAT": ("S", "Stat"), "HIGH": ("A", "As soon as possible"), "ROUTINE": ("R", "Routine")}
_SYSTEM = "HL70485"
_STUDY = Coded("113014", "DCM", "DICOM Study", "IHE RAD TF-2 4.28")
_PRELIMINARY = "P"  # tables 0085 and 0123
_CONTROL_ID_BYTES = 12  # 20 characters of base 32, the length of MSH-10

Fields = dict[int, str]


def hl7(record: Record, source: Source) -> bytes:
    """Render the message, UTF-8."""
    return message(
        [
            _header(record),
            segment("PID", {1: "1"} | _patient(source)),
            segment("ORC", {1: "RE"} | _order_numbers(source)),
            segment("OBR", {1: "1"} | _order_numbers(source) | _request(record, source)),
            segment("TQ1", {1: "1", 9: components(*PRIORITIES[record.prediction.priority], _SYSTEM)}),
            *(_observation(number, fields, record) for number, fields in enumerate(_observations(record, source), 1)),
        ]
    )


def control_id(digest: bytes) -> str:
    """Return a message control id, MSH-10, made of a digest of at least 12 bytes."""
    return base64.b32encode(digest[:_CONTROL_ID_BYTES]).decode().rstrip("=")


def _header(record: Record) -> str:
    fields = {3: APPLICATION, 7: _created(record), 9: "ORU^R01^ORU_R01", 11: "P", 12: "2.5.1", 18: CHARACTER_SET}
    fields[10] = control_id(uuid(record.id, "hl7").bytes)
    return segment("MSH", {2: ENCODING_CHARACTERS} | fields).replace("MSH||", "MSH|", 1)  # MSH-1 is the separator


def _patient(source: Source) -> Fields:
    header = source.header
    authority = _authority(header, "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence")
    id = escaped(str(header.PatientID or ""))
    return {
        3: f"{id}^^^{authority}" if id and authority else id,
        5: person(str(header.PatientName or "")) or "^^^^^^U",  # table 0200: unspecified; PID-5 is required
        7: timestamp(str(header.PatientBirthDate or "")),
        8: escaped(str(header.PatientSex or "")),  # table 0001 has the letters of DICOM
    }


def _order_numbers(source: Source) -> Fields:
    """Return placer and filler order number, ORC-2 and -3, OBR-2 and -3; without a filler number, the accession number.

    The DICOM attributes are those of the Imaging Service Request Module, PS3.3 C.4.12; some modalities copy them.
    """
    placer = _text(source.image, "PlacerOrderNumberImagingServiceRequest")
    filler = _text(source.image, "FillerOrderNumberImagingServiceRequest")
    if filler:
        return {2: components(placer), 3: components(filler)}
    authority = _authority(source.header, "", "IssuerOfAccessionNumberSequence")
    number = components(str(source.header.AccessionNumber or ""))
    return {2: components(placer), 3: f"{number}^{authority}" if number and authority else number}


def _request(record: Record, source: Source) -> Fields:
    header = source.header
    request = (readable_values(source.image, "RequestAttributesSequence") or [Dataset()])[0]
    zone = str(header.get("TimezoneOffsetFromUTC") or "")
    return {
        4: _coded(codes.RADIOGRAPHY),
        7: timestamp(str(header.StudyDate or ""), str(header.StudyTime or "").replace(":", ""), zone),
        18: escaped(str(header.AccessionNumber or "")),
        19: escaped(_text(request, "RequestedProcedureID")),
        20: escaped(_text(request, "ScheduledProcedureStepID")),
        22: _created(record),
        24: "RAD",  # table 0074
        25: _PRELIMINARY,
    }


def _observations(record: Record, source: Source) -> Iterator[Fields]:
    """Return fields 2 to 8 of each OBX.

    Codes are of type CE because table 0125, the types of OBX-5, has no CWE in v2.5.1; HD is IHE's, RAD-28.
    """
    prediction = record.prediction
    yield {2: "TX", 3: _coded(codes.COMMENT), 5: escaped(NOTICE)}
    yield {2: "CE", 3: _coded(codes.PRIORITY), 5: _coded(codes.PRIORITIES[prediction.priority])}
    for finding in prediction.findings:
        yield from _finding(finding)
    for number, flag in enumerate(prediction.flags, 1):
        yield {2: "ST", 3: _coded(codes.FLAG), 4: str(number), 5: escaped(flag)}
    yield {2: "HD", 3: _coded(_STUDY), 4: "1", 5: escaped(str(source.header.StudyInstanceUID))}


def _finding(finding: Finding) -> Iterator[Fields]:
    """Return presence at the operating point, if there is one, and the probability; OBX-4 tells the two apart."""
    name = _coded(codes.row(finding.label, finding.codes).finding)
    flag = {None: "", True: "A", False: "N"}[finding.positive]  # table 0078
    if finding.positive is not None:
        yield {2: "CE", 3: name, 4: "1", 5: _coded(codes.PRESENT if finding.positive else codes.ABSENT), 8: flag}
    normal = f"<{_percent(finding.threshold)}" if finding.threshold is not None else ""
    if finding.probability is not None:
        value = _percent(finding.probability)
        yield {2: "NM", 3: name, 4: "2", 5: value, 6: _coded(codes.PERCENT), 7: normal, 8: flag}


def _observation(number: int, fields: Fields, record: Record) -> str:
    network = record.prediction.network
    origin = {14: _created(record), 18: components(f"{network.name} {network.version}", NAME)}
    return segment("OBX", {1: str(number)} | fields | {11: _PRELIMINARY} | origin)


def _authority(header: Dataset, local: str, qualifiers: str) -> str:
    """Return the components of an assigning authority, HL7 v2.5.1 2.A.33 HD, joined by `&` where it is a component.

    Parameters
    ----------
    local
        Keyword of its name; empty if the qualifiers have it.
    """
    item = (readable_values(header, qualifiers) or [Dataset()])[0]
    name = _text(header, local) if local else _text(item, "LocalNamespaceEntityID")
    parts = (name, _text(item, "UniversalEntityID"), _text(item, "UniversalEntityIDType"))
    joined = "&" if local else "^"
    return joined.join(map(escaped, parts)).rstrip(joined)


def _text(dataset: Dataset, keyword: str) -> str:
    return str(normalised(dataset, keyword) or "")


def _coded(coded: Coded) -> str:
    return components(coded.value, coded.meaning, coded.scheme)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4f}".rstrip("0").rstrip(".")


def _created(record: Record) -> str:
    return record.created.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")

"""The prediction as FHIR R4: a bundle of a preliminary record, one observation per finding, and the device."""

import json
from datetime import UTC
from typing import Any

from service.objects.codes import (
    ABSENT,
    FLAG,
    IMAGING_STUDY_REPORT,
    PERCENT,
    PRESENT,
    PRIORITIES,
    PRIORITY,
    PRIVATE,
    PROBABILITY,
    SENSITIVITY,
    SPECIFICITY,
    THRESHOLD,
    Coded,
    row,
)
from service.objects.overlay import NOTICE
from service.objects.product import NAME, REPOSITORY, VERSION, uuid
from service.objects.source import Source
from service.storage.record import Record
from service.triage.finding import Finding

_SYSTEMS = {  # HL7's URLs of coding schemes
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    PRIVATE: f"{REPOSITORY}/codes",
}
_HL7 = "http://terminology.hl7.org/CodeSystem"

Json = dict[str, Any]


def fhir(record: Record, source: Source) -> bytes:
    """Render a Bundle, UTF-8 JSON; it refers to patient, order and study by identifiers alone."""
    observations = [
        *map(_finding, record.prediction.findings),
        _observation(PRIORITY, {"valueCodeableConcept": _concept(PRIORITIES[record.prediction.priority])}),
        *(_observation(FLAG, {"valueString": flag}) for flag in record.prediction.flags),
    ]
    context = _context(record, source)
    results = [(_url(record, f"observation/{index}"), item | context) for index, item in enumerate(observations)]
    document = _diagnostic_report(record, source) | {"result": [{"reference": url} for url, _ in results]}
    entries = [(_url(record, "report"), document), *results, (_url(record, "device"), _device(record))]
    bundle = {
        "resourceType": "Bundle",
        "id": record.id,
        "type": "collection",
        "timestamp": _instant(record),
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }
    return json.dumps(bundle, ensure_ascii=False).encode()


def _diagnostic_report(record: Record, source: Source) -> Json:
    positive = [finding for finding in record.prediction.findings if finding.positive]
    conclusion = [
        NOTICE,
        f"Priority: {record.prediction.priority}.",
        *(f"Flag: {flag}." for flag in record.prediction.flags),
    ]
    accession = str(source.header.AccessionNumber or "")
    return {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [_code(f"{_HL7}/v2-0074", "RAD")],
        "code": _concept(IMAGING_STUDY_REPORT),
        **_subject(source),
        **({"basedOn": [_order(accession)]} if accession else {}),
        "issued": _instant(record),
        "imagingStudy": [_study(source)],
        "conclusion": " ".join(conclusion),
        **({"conclusionCode": [_concept(row(finding.label).finding) for finding in positive]} if positive else {}),
    }


def _finding(finding: Finding) -> Json:
    """Observe presence or absence at the operating point; without an operating point, the probability alone."""
    coded = row(finding.label)
    components = (
        (PROBABILITY, finding.probability),
        (THRESHOLD, finding.threshold),
        (SENSITIVITY, finding.sensitivity),
        (SPECIFICITY, finding.specificity),
    )
    return _observation(coded.finding, _presence(finding)) | {
        "bodySite": _concept(coded.site),
        "component": [
            {"code": _concept(name), "valueQuantity": _percent(value)}
            for name, value in components
            if value is not None
        ],
    }


def _presence(finding: Finding) -> Json:
    if finding.positive is None:
        return {"dataAbsentReason": _code(f"{_HL7}/data-absent-reason", "not-applicable")}
    return {
        "valueCodeableConcept": _concept(PRESENT if finding.positive else ABSENT),
        "interpretation": [_code(f"{_HL7}/v3-ObservationInterpretation", "POS" if finding.positive else "NEG")],
    }


def _observation(name: Coded, value: Json) -> Json:
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [_code(f"{_HL7}/observation-category", "imaging")],
        "code": _concept(name),
        **value,
    }


def _context(record: Record, source: Source) -> Json:
    """Return the elements that all observations share: patient, study, time and device."""
    origin = _subject(source) | {"derivedFrom": [_study(source)]}
    return origin | {"issued": _instant(record), "device": {"reference": _url(record, "device")}}


def _device(record: Record) -> Json:
    network = record.prediction.network
    return {
        "resourceType": "Device",
        "identifier": [{"system": f"{REPOSITORY}/artefact-sha256", "value": network.sha256}],
        "status": "active",
        "manufacturer": NAME,
        "deviceName": [{"name": network.name, "type": "model-name"}],
        "version": [
            {"type": {"text": "network"}, "value": network.version},
            {"type": {"text": "software"}, "value": VERSION},
        ],
        "note": [{"text": NOTICE}],
    }


def _subject(source: Source) -> Json:
    patient = str(source.header.PatientID or "")
    return {"subject": {"type": "Patient", "identifier": {"value": patient}}} if patient else {}


def _study(source: Source) -> Json:
    uid = {"system": "urn:dicom:uid", "value": f"urn:oid:{source.header.StudyInstanceUID}"}
    return {"type": "ImagingStudy", "identifier": uid}


def _order(accession: str) -> Json:
    return {"type": "ServiceRequest", "identifier": {"type": _code(f"{_HL7}/v2-0203", "ACSN"), "value": accession}}


def _concept(coded: Coded) -> Json:
    """A code without `display`, as SNOMED and LOINC name some concepts differently; the text is DICOM's."""
    return {"coding": [{"system": _SYSTEMS[coded.scheme], "code": coded.value}], "text": coded.meaning}


def _code(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _percent(fraction: float) -> Json:
    return {"value": round(100 * fraction, 4), "unit": "%", "system": _SYSTEMS["UCUM"], "code": PERCENT.value}


def _instant(record: Record) -> str:
    return record.created.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _url(record: Record, part: str) -> str:
    return f"urn:uuid:{uuid(record.id, f'fhir/{part}')}"

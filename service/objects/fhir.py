"""The prediction as FHIR R4: a bundle of a preliminary record, one observation per finding, and the device."""

import json
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from pydicom import Dataset

from service.artefact.card import NOTICE
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
from service.objects.product import NAME, REPOSITORY, VERSION, uuid
from service.objects.source import Source
from service.storage.record import Record
from service.triage.finding import Finding

_SYSTEMS = {  # HL7's URLs of coding schemes
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
    "RADLEX": "http://radlex.org",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    PRIVATE: f"{REPOSITORY}/codes",
}
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UUID = re.compile("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")  # RFC 3986 3
_HL7 = "http://terminology.hl7.org/CodeSystem"

Json = dict[str, Any]


def fhir(record: Record, source: Source) -> bytes:
    """Render a Bundle, UTF-8 JSON; it refers to patient, order and study by identifiers alone."""
    observations = [
        *map(_finding, record.prediction.evaluated),
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
        **({"basedOn": [_order(accession, source)]} if accession else {}),
        "issued": _instant(record),
        "imagingStudy": [_study(source)],
        "conclusion": " ".join(conclusion),
        **(
            {"conclusionCode": [_concept(row(finding.label, finding.codes).finding) for finding in positive]}
            if positive
            else {}
        ),
    }


def _finding(finding: Finding) -> Json:
    """Observe presence or absence at the operating point; without an operating point, the probability alone."""
    coded = row(finding.label, finding.codes)
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
    header = source.header
    patient = str(header.PatientID or "")
    issuer = str(header.get("IssuerOfPatientID", ""))
    identifier = _identifier(patient, issuer, header.get("IssuerOfPatientIDQualifiersSequence"))
    return {"subject": {"type": "Patient", "identifier": identifier}} if patient else {}


def _study(source: Source) -> Json:
    uid = {"system": "urn:dicom:uid", "value": f"urn:oid:{source.header.StudyInstanceUID}"}
    return {"type": "ImagingStudy", "identifier": uid}


def _order(accession: str, source: Source) -> Json:
    issuers = source.header.get("IssuerOfAccessionNumberSequence")
    local = str(issuers[0].get("LocalNamespaceEntityID", "")) if issuers else ""
    identifier = _identifier(accession, local, issuers) | {"type": _code(f"{_HL7}/v2-0203", "ACSN")}
    return {"type": "ServiceRequest", "identifier": identifier}


def _identifier(value: str, issuer: str, universal: Sequence[Dataset] | None) -> Json:
    """Identify by a value, the name of its issuer, and the issuer's universal ID (PS3.3 10.14), if they are stated."""
    system = _system(universal[0]) if universal else ""
    return {
        **({"system": system} if system else {}),
        "value": value,
        **({"assigner": {"display": issuer}} if issuer else {}),
    }


def _system(issuer: Dataset) -> str:
    """Return a universal ID as a URI; empty for a type or a form that is no URI, such as DNS."""
    id, kind = str(issuer.get("UniversalEntityID", "")), str(issuer.get("UniversalEntityIDType", ""))
    forms = {  # PS3.3 10.14
        "ISO": (_OID, f"urn:oid:{id}"),
        "UUID": (_UUID, f"urn:uuid:{id.lower()}"),
        "URI": (_URI, id),
    }
    form, uri = forms.get(kind, (_OID, ""))
    return uri if form.fullmatch(id) else ""


def _concept(coded: Coded) -> Json:
    """A code without `display`, as SNOMED and LOINC name some concepts differently; the text is DICOM's.

    A scheme of the site or the artefact without a URL here has no system: an invented one would claim an authority.
    """
    system = {"system": _SYSTEMS[coded.scheme]} if coded.scheme in _SYSTEMS else {}
    return {"coding": [system | {"code": coded.value}], "text": coded.meaning}


def _code(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _percent(fraction: float) -> Json:
    return {"value": round(100 * fraction, 4), "unit": "%", "system": _SYSTEMS["UCUM"], "code": PERCENT.value}


def _instant(record: Record) -> str:
    return record.created.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _url(record: Record, part: str) -> str:
    return f"urn:uuid:{uuid(record.id, f'fhir/{part}')}"

"""Checks against the tables of HL7 FHIR R4: required elements, known elements and code systems."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from model.labels import LABELS
from service.objects.codes import PRIVATE, row
from tests.service.objects.rendered import FAULTY, item, record, rendered, source

REQUIRED = {  # cardinality 1..
    "Bundle": {"type"},
    "DiagnosticReport": {"status", "code"},
    "Observation": {"status", "code"},
    "Device": set(),
}
KNOWN = {  # the R4 elements that are used
    "DiagnosticReport": {
        *("resourceType", "basedOn", "status", "category", "code", "subject", "issued", "result", "imagingStudy"),
        *("conclusion", "conclusionCode"),
    },
    "Observation": {
        *("resourceType", "status", "category", "code", "subject", "issued", "valueCodeableConcept", "valueString"),
        *("dataAbsentReason", "interpretation", "bodySite", "device", "derivedFrom", "component"),
    },
    "Device": {"resourceType", "identifier", "status", "manufacturer", "deviceName", "version", "note"},
}
SYSTEMS = {"SCT": "http://snomed.info/sct", "DCM": "http://dicom.nema.org/resources/ontology/DCM"}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return dict(json.loads(rendered("fhir")))


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == kind]


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from walk(inner)


def test_it_is_a_collection_of_one_report_its_observations_and_one_device(bundle: dict[str, Any]) -> None:
    assert (bundle["resourceType"], bundle["type"], bundle["id"]) == ("Bundle", "collection", record().id)
    kinds = [one["resource"]["resourceType"] for one in bundle["entry"]]
    assert (kinds[0], kinds[-1]) == ("DiagnosticReport", "Device")
    assert set(kinds[1:-1]) == {"Observation"}
    assert len(kinds) == 1 + 14 + 1 + 2 + 1  # findings, priority, flags


def test_every_resource_has_the_required_elements_and_known_ones_alone(bundle: dict[str, Any]) -> None:
    for one in bundle["entry"]:
        resource = one["resource"]
        kind = resource["resourceType"]
        assert REQUIRED[kind] <= set(resource) <= KNOWN[kind]
        assert all(value not in (None, "", [], {}) for value in resource.values())


def test_references_resolve(bundle: dict[str, Any]) -> None:
    urls = [one["fullUrl"] for one in bundle["entry"]]
    references = {one["reference"] for one in walk(bundle) if "reference" in one}

    assert len(set(urls)) == len(urls)
    assert all(UUID.fullmatch(url) for url in urls)
    assert references == set(urls[1:])
    assert [one["reference"] for one in resources(bundle, "DiagnosticReport")[0]["result"]] == urls[1:-1]
    assert {one["device"]["reference"] for one in resources(bundle, "Observation")} == {urls[-1]}


def test_everything_is_preliminary_and_has_the_time_of_the_record(bundle: dict[str, Any]) -> None:
    made = [*resources(bundle, "DiagnosticReport"), *resources(bundle, "Observation")]

    assert {one["status"] for one in made} == {"preliminary"}
    assert {one["issued"] for one in made} | {bundle["timestamp"]} == {"2025-03-05T22:30:15.250Z"}
    assert INSTANT.fullmatch(bundle["timestamp"])
    assert datetime.fromisoformat(bundle["timestamp"]) == record().created


@pytest.mark.parametrize("label", LABELS)
def test_a_finding_is_an_observation(bundle: dict[str, Any], label: str) -> None:
    finding = next(one for one in record().prediction.findings if one.label == label)
    coded = row(label).finding
    (one,) = [one for one in resources(bundle, "Observation") if one["code"]["coding"][0]["code"] == coded.value]

    components = {part["code"]["text"]: part["valueQuantity"] for part in one["component"]}
    assert components["Probability"]["value"] == pytest.approx(100 * finding.probability, abs=1e-4)
    assert {(part["unit"], part["code"], part["system"]) for part in components.values()} == {
        ("%", "%", "http://unitsofmeasure.org")
    }
    own = "https://github.com/agcnn-triage/agcnn-triage/codes"
    assert one["code"]["coding"][0]["system"] == (own if coded.scheme == PRIVATE else SYSTEMS[coded.scheme])
    if finding.threshold is None:
        assert list(components) == ["Probability"]
        assert "dataAbsentReason" in one
        assert "valueCodeableConcept" not in one  # R4 obs-6: one or the other
    else:
        assert components["Threshold Value"]["value"] == pytest.approx(100 * finding.threshold, abs=1e-4)
        assert (components["Case Sensitivity"]["value"], components["Case Specificity"]["value"]) == (62.5, 95)
        presence = one["valueCodeableConcept"]["coding"][0]
        assert presence["code"] == ("52101004" if finding.positive else "272519000")
        assert one["interpretation"][0]["coding"][0]["code"] == ("POS" if finding.positive else "NEG")


def test_the_report_states_priority_flags_and_positive_findings(bundle: dict[str, Any]) -> None:
    (document,) = resources(bundle, "DiagnosticReport")

    assert document["conclusion"].startswith("Research use only. Not a medical device. Priority: STAT.")
    assert "Flag: window_missing." in document["conclusion"]
    assert [one["coding"][0]["code"] for one in document["conclusionCode"]] == ["60046008", "36118008"]
    flags = [one["valueString"] for one in resources(bundle, "Observation") if "valueString" in one]
    assert flags == list(record().prediction.flags)


def test_patient_order_and_study_are_referred_to_by_identifiers_alone(bundle: dict[str, Any]) -> None:
    (document,) = resources(bundle, "DiagnosticReport")

    assert document["subject"]["identifier"] == {"value": "CANARY-17"}
    assert document["basedOn"][0]["identifier"]["value"] == "A1"
    study = {"system": "urn:dicom:uid", "value": "urn:oid:2.25.1001"}
    assert document["imagingStudy"][0]["identifier"] == study
    assert {json.dumps(one["derivedFrom"][0]["identifier"]) for one in resources(bundle, "Observation")} == {
        json.dumps(study)
    }
    assert "Tweety" not in json.dumps(bundle)


def test_without_identifiers_it_has_no_patient_and_no_order() -> None:
    (document,) = resources(json.loads(rendered("fhir", FAULTY["nobody"])), "DiagnosticReport")

    assert not {"subject", "basedOn"} & set(document)


def test_the_device_is_the_artefact(bundle: dict[str, Any]) -> None:
    (device,) = resources(bundle, "Device")

    assert device["identifier"][0]["value"] == "9f" * 32
    assert device["deviceName"] == [{"name": "agcnn-densenet121", "type": "model-name"}]
    assert {"type": {"text": "network"}, "value": "2.1"} in device["version"]


def _subject(**elements: object) -> dict:
    """The reference to the patient, for a radiograph with these elements."""
    return dict(json.loads(rendered("fhir", source(**elements)))["entry"][0]["resource"]["subject"]["identifier"])


@pytest.mark.parametrize(
    ("id", "kind", "system"),
    [
        ("1.2.840.99.7", "ISO", "urn:oid:1.2.840.99.7"),
        ("https://hospital.example/mrn", "URI", "https://hospital.example/mrn"),
        ("6F9619FF-8B86-D011-B42D-00C04FC964FF", "UUID", "urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("hospital.example", "DNS", None),
        ("not an OID", "ISO", None),
        ("1.2.840.99.7", "", None),
    ],
)
def test_the_issuers_universal_id_is_the_system_of_the_patients(id: str, kind: str, system: str | None) -> None:
    qualifiers = [item(UniversalEntityID=id, UniversalEntityIDType=kind)]

    identifier = _subject(IssuerOfPatientID="H7ADT", IssuerOfPatientIDQualifiersSequence=qualifiers)

    assert identifier.get("system") == system
    assert (identifier["value"], identifier["assigner"]) == ("CANARY-17", {"display": "H7ADT"})


def test_an_issuer_that_is_not_stated_is_not_guessed() -> None:
    assert _subject() == {"value": "CANARY-17"}
    assert _subject(IssuerOfPatientID="H7ADT") == {"value": "CANARY-17", "assigner": {"display": "H7ADT"}}


def test_the_order_has_the_issuer_of_its_accession_number() -> None:
    issuer = item(LocalNamespaceEntityID="RIS", UniversalEntityID="1.2.840.99.8", UniversalEntityIDType="ISO")

    bundle = json.loads(rendered("fhir", source(IssuerOfAccessionNumberSequence=[issuer])))

    (order,) = bundle["entry"][0]["resource"]["basedOn"]
    assert order["identifier"]["system"] == "urn:oid:1.2.840.99.8"
    assert (order["identifier"]["value"], order["identifier"]["assigner"]) == ("A1", {"display": "RIS"})

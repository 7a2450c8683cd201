"""An artefact of five labels, without a second look, from the posted file to every object."""

import json
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from service.objects.site_codes import COLUMNS
from service.settings import Objects
from tests.five_labels import ACCENTED, CODED, LABELS, LONG, PNEUMOTHORAX, UNTRAINED
from tests.service.conftest import Run
from tests.service.serving import Client, serving, settings_for
from tests.service.web.running import radiograph

SITE_TABLE = ",".join(COLUMNS) + "\nPneumothorax,P-1,99SITE,Pneumothorax rechts,,,\n"
CODES = {
    PNEUMOTHORAX: ("P-1", "99SITE", "Pneumothorax rechts"),
    LONG: ("ENLARGED_CA_1E6C", "99AGCNN", LONG),
    ACCENTED: ("EPANCHEMENT_407B", "99AGCNN", ACCENTED),
    CODED: ("128601007", "SCT", "Lung opacity"),
}


@pytest.fixture(scope="module")
def client(five_labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("five")
    (folder / "codes.csv").write_text(SITE_TABLE, encoding="utf-8")
    objects = Objects(codes=folder / "codes.csv")
    with serving(settings_for(five_labels, folder / "data").model_copy(update={"objects": objects})) as client:
        yield client


@pytest.fixture(scope="module")
def answer(client: Client) -> dict[str, Any]:
    response = client.post(radiograph(1))
    assert response.status_code == 200
    return dict(response.json())


def rendered(client: Client, answer: dict[str, Any], name: str) -> bytes:
    response = client.get(answer["links"][name])
    assert response.status_code == 200
    return response.content


def test_the_answer(client: Client, answer: dict[str, Any]) -> None:
    assert answer["second_look"] is False
    assert (answer["priority"], answer["reason"]) == (
        "STAT",
        [PNEUMOTHORAX],
    )  # the only label that the default rule names
    findings = {finding["label"]: finding for finding in answer["findings"]}
    assert tuple(findings) == LABELS
    assert {finding["local"] for finding in findings.values()} == {None}
    assert [findings[label]["positive"] for label in LABELS] == [True, True, True, False, None]
    assert all(findings[label]["probability"] == findings[label]["global"] for label in LABELS)
    assert {value for name, value in findings[UNTRAINED].items() if name != "label"} == {None}
    assert client.get(answer["links"]["self"]).json() == answer  # as it is stored


def test_the_worklist_filters_by_any_label(client: Client, answer: dict[str, Any]) -> None:
    ids = {label: [item["id"] for item in _worklist(client, label)] for label in LABELS}
    assert ids == {label: [answer["id"]] if label in (PNEUMOTHORAX, LONG, ACCENTED) else [] for label in LABELS}


def _worklist(client: Client, label: str) -> list[dict[str, Any]]:
    return list(client.get("/v1/worklist", params={"finding": label}).json()["items"])


def test_maps_are_those_of_the_trained_labels(client: Client, answer: dict[str, Any]) -> None:
    maps = client.get(f"{answer['links']['self']}/maps.json").json()
    assert tuple(maps["class_maps"]) == LABELS[:4]
    for label, status in ((LONG, 200), (ACCENTED, 200), (UNTRAINED, 404)):
        assert client.get(answer["links"]["overlay"], params={"finding": label}).status_code == status


def codes(item: Dataset) -> tuple[str, str, str]:
    return (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)


def test_the_structured_report(client: Client, answer: dict[str, Any]) -> None:
    report = dcmread(BytesIO(rendered(client, answer, "sr")))
    names = [codes(item.ConceptNameCodeSequence[0]) for part in report.ContentSequence for item in _findings(part)]
    assert names == list(CODES.values())
    assert report.SpecificCharacterSet == "ISO_IR 192"
    schemes = [item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence]
    assert schemes == ["99AGCNN", "99SITE"]


def _findings(part: Dataset) -> list[Dataset]:
    """Return the content items with a finding's probability as property."""
    return [
        item
        for item in part.get("ContentSequence", ())
        if any(inner.ConceptNameCodeSequence[0].CodeValue == "122157" for inner in item.get("ContentSequence", ()))
    ]


@pytest.mark.parametrize("name", ["segmentation", "binary_segmentation"])
def test_segments(client: Client, answer: dict[str, Any], name: str) -> None:
    segments = dcmread(BytesIO(rendered(client, answer, name))).SegmentSequence
    labels = ["Attention", *(f"Attention: {label}" for label in (PNEUMOTHORAX, LONG, ACCENTED))]
    assert [segment.SegmentLabel for segment in segments] == labels


def test_fhir(client: Client, answer: dict[str, Any]) -> None:
    bundle = json.loads(rendered(client, answer, "fhir"))
    observations = [entry["resource"] for entry in bundle["entry"] if "bodySite" in entry["resource"]]
    assert [one["code"]["text"] for one in observations] == [meaning for *_, meaning in CODES.values()]
    assert observations[0]["code"]["coding"] == [{"code": "P-1"}]
    assert observations[3]["code"]["coding"] == [{"system": "http://snomed.info/sct", "code": "128601007"}]


def test_hl7(client: Client, answer: dict[str, Any]) -> None:
    segments = [line.split("|") for line in rendered(client, answer, "hl7").decode().split("\r")]
    numbers = [fields[3] for fields in segments if fields[0] == "OBX" and fields[2] == "NM"]
    assert numbers == [f"{value}^{meaning}^{scheme}" for value, scheme, meaning in CODES.values()]


@pytest.mark.parametrize("name", ["secondary_capture", "presentation_state", "notification"])
def test_other_objects(client: Client, answer: dict[str, Any], name: str) -> None:
    assert UNTRAINED.encode() not in rendered(client, answer, name)


def test_on_the_command_line(
    run: Run, five_labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: StringIO
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(five_labels))
    monkeypatch.setenv("TRIAGE_RUNTIME__THREADS", "1")
    (tmp_path / "one.dcm").write_bytes(radiograph(1))
    _, out, _ = run("predict", str(tmp_path / "one.dcm"))
    assert "of the image, without a second look\n" in out
    assert f"  {UNTRAINED:<26} -      not evaluated: the network was not trained on it\n" in out
    _, out, _ = run("check")
    assert "triage rule: STAT for Pneumothorax; HIGH for none\n" in out

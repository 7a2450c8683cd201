"""TRIAGE_TRIAGE__PRESENTATION=triage_only: no interface shows a place in the image, whatever was made before."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from service.destinations import Destination, Sending
from service.objects.kinds import Kind
from service.settings import Settings, Triage
from tests.factories import STUDY, dicom_bytes, noise
from tests.service.objects.rendered import errors
from tests.service.serving import Client, serving, settings_for

PLACES = [kind for kind in Kind if kind.form.is_place]
PICTURES = ["overlay.png", "heat_map.png", "crop.png", "maps.json", *(kind.file_name for kind in PLACES)]


def settings(artefact: Path, folder: Path, presentation: str) -> Settings:
    archive = Destination(name="archive", url="http://127.0.0.1:9/dicom-web")  # nobody listens
    changes = {
        "triage": Triage.model_validate({"presentation": presentation}),
        "sending": Sending(destinations=(archive,), send_all=("archive",)),
    }
    return settings_for(artefact, folder).model_copy(update=changes)


@pytest.fixture(scope="module")
def before(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], bytes]:
    """A folder in which everything was shown, and so kept: the folder, the prediction and its SR."""
    folder = tmp_path_factory.mktemp("data")
    with serving(settings(artefact, folder, "full")) as client:
        prediction = dict(client.post(dicom_bytes(noise(300, 260))).json())
        report = client.get(prediction["links"]["sr"]).content
        assert all(client.get(f"{prediction['links']['self']}/{name}").status_code == 200 for name in PICTURES)
        assert prediction["box"]
    return folder, prediction, report


@pytest.fixture(scope="module")
def client(artefact: Path, before: tuple[Path, dict[str, Any], bytes]) -> Iterator[Client]:
    with serving(settings(artefact, before[0], "triage_only")) as client:
        yield client


@pytest.fixture(scope="module")
def prediction(client: Client, before: tuple[Path, dict[str, Any], bytes]) -> dict[str, Any]:
    return dict(client.get(before[1]["links"]["self"]).json())


def modalities(client: Client) -> set[str]:
    found = client.get(f"/dicom-web/studies/{STUDY}/series").json()
    return {series["00080060"]["Value"][0] for series in found}


def test_answers_have_the_triage_and_no_place(client: Client, before: Any, prediction: dict[str, Any]) -> None:
    _, full, _ = before
    (entry,) = client.get("/v1/worklist").json()["items"]

    assert prediction["box"] is None
    assert {name: prediction[name] for name in ("priority", "reason", "findings", "flags")} == {
        name: full[name] for name in ("priority", "reason", "findings", "flags")
    }
    left_out = {"overlay", "heat_map", "crop", *map(str, PLACES)}
    assert set(full["links"]) - set(prediction["links"]) == left_out
    assert entry["links"] == prediction["links"]


@pytest.mark.parametrize("name", PICTURES)
def test_what_shows_a_place_is_refused_with_one_code(client: Client, prediction: dict[str, Any], name: str) -> None:
    answer = client.get(f"{prediction['links']['self']}/{name}", headers={"If-None-Match": "*"})

    assert (answer.status_code, answer.json()["code"]) == (404, "triage_only")


def test_the_report_has_the_findings_without_a_region(client: Client, before: Any, prediction: dict[str, Any]) -> None:
    content = client.get(prediction["links"]["sr"]).content
    report, full = dcmread(BytesIO(content)), dcmread(BytesIO(before[2]))

    assert "SCOORD" in str(full)
    assert "SCOORD" not in str(report)
    assert "attention" not in str(report).casefold()
    assert meanings(report) < meanings(full)
    assert report.SOPInstanceUID != full.SOPInstanceUID, "one UID must not name two objects"
    found = client.get(f"/dicom-web/studies/{STUDY}/instances?Modality=SR").json()
    assert [item["00080018"]["Value"] for item in found] == [[report.SOPInstanceUID]]
    metadata = client.get(f"/dicom-web/studies/{STUDY}/metadata").text
    assert report.SOPInstanceUID in metadata
    assert "SCOORD" not in metadata


def test_the_report_is_valid(client: Client, before: Any, prediction: dict[str, Any], tmp_path: Path) -> None:
    content = client.get(prediction["links"]["sr"]).content

    assert errors(content, tmp_path) <= errors(before[2], tmp_path)


def meanings(dataset: Dataset) -> set[str]:
    return {str(element.value) for element in dataset.iterall() if element.keyword == "CodeMeaning"}


def test_dicomweb_and_destinations_have_the_report_alone(client: Client, prediction: dict[str, Any]) -> None:
    assert modalities(client) == {"DX", "SR"}
    assert client.get("/dicom-web/studies?ModalitiesInStudy=SR").status_code == 200
    assert client.get("/dicom-web/studies?ModalitiesInStudy=SEG").status_code == 204

    new = client.post(dicom_bytes(noise(300, 260, seed=1), SOPInstanceUID="2.25.9")).json()
    ordered = client.get(f"{new['links']['self']}/sends").json()["items"]
    chosen = client.request(
        "POST", f"{new['links']['self']}/send", json={"destination": "archive", "objects": ["segmentation"]}
    )
    earlier = client.get(f"{prediction['links']['self']}/sends").json()["items"]

    assert [item["object"] for item in ordered] == ["sr"]
    assert (chosen.status_code, chosen.json()["code"]) == (404, "triage_only")
    refused = {item["object"]: item["error"] for item in earlier if item["state"] == "failed"}
    assert set(refused.values()) <= {"triage_only"}


def test_the_page_says_so_to_its_style_sheet(client: Client) -> None:
    assert '<body data-presentation="triage_only">' in client.get("/").text

"""A storage folder written by revision 8441aa0 opens, is migrated, and gives the same answers.

`answers.json` holds the answers of that revision; of maps and pictures it holds the SHA-256. Links to kinds of objects
that were added since are left out of the comparison.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.objects.kinds import Kind
from service.storage.keys import Keys
from tests.service.serving import Client, serving, settings_for

WRITTEN = Path(__file__).with_name("written_by_8441aa0")
ANSWERS: dict[str, Any] = json.loads((WRITTEN / "answers.json").read_text(encoding="utf-8"))
IDS = [prediction["id"] for prediction in ANSWERS["predictions"]["items"]]


ADDED = {"hl7"}


def without_added_links(document: Any) -> Any:
    """Return a JSON document without the links that the revision did not have."""
    if isinstance(document, list):
        return [without_added_links(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: {name: link for name, link in value.items() if name not in ADDED}
        if key == "links"
        else without_added_links(value)
        for key, value in document.items()
    }


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(WRITTEN, folder, dirs_exist_ok=True)
    with serving(settings_for(artefact, folder)) as client:
        yield client


def test_predictions_are_answered_as_before(client: Client) -> None:
    assert without_added_links(client.get("/v1/predictions").json()) == ANSWERS["predictions"]
    for id, prediction in zip(IDS, ANSWERS["predictions"]["items"], strict=True):
        assert without_added_links(client.get(f"/v1/predictions/{id}").json()) == prediction


def test_the_worklist_is_answered_as_before(client: Client) -> None:
    assert without_added_links(client.get("/v1/worklist").json()) == ANSWERS["worklist"]


def test_studies_are_answered_as_before(client: Client) -> None:
    studies = client.get("/dicom-web/studies", headers={"Accept": "application/dicom+json"}).json()
    assert [{tag: value for tag, value in study.items() if tag != "00081190"} for study in studies] == ANSWERS[
        "studies"
    ]


@pytest.mark.parametrize("id", IDS)
def test_maps_are_answered_as_before(client: Client, id: str) -> None:
    maps = client.get(f"/v1/predictions/{id}/maps.json").json()
    assert _sha256(json.dumps(maps, sort_keys=True).encode()) == ANSWERS["maps"][id]


@pytest.mark.parametrize("path", ANSWERS["pictures"])
def test_pictures_are_drawn_as_before(client: Client, path: str) -> None:
    assert _sha256(client.get(path).content) == ANSWERS["pictures"][path]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("id", IDS)
def test_objects_are_rendered(client: Client, id: str, kind: Kind) -> None:
    assert client.get(f"/v1/predictions/{id}/{kind.file_name}").status_code == 200


def test_deliveries_are_still_waiting_in_the_outbox(client: Client) -> None:
    sends = [send for id in IDS for send in client.get(f"/v1/predictions/{id}/sends").json()["items"]]
    assert {send["object"] for send in sends} == {"sr", "segmentation", "secondary_capture", "presentation_state"}
    assert {send["state"] for send in sends} == {"waiting"}


def test_keys_are_still_valid(client: Client) -> None:
    (key,) = Keys(client.pipeline.database).list()
    assert (key.name, key.scopes, key.revoked) == ("ward", {"predict", "read"}, None)


def test_another_artefact_makes_a_new_record_beside_the_old(client: Client) -> None:
    for file in (WRITTEN / "instances").rglob("*.dcm"):
        response = client.post(file.read_bytes())
        assert response.status_code == 200
        assert response.json()["id"] not in IDS
    assert [client.get(f"/v1/predictions/{id}").status_code for id in IDS] == [200, 200]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""A storage folder written by revision 8441aa0 opens, is migrated, and gives the same answers.

`answers.json` holds the answers of that revision; of maps and pictures it holds the SHA-256. Later revisions may add
members to an answer, and change none.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from service.objects.kinds import Kind
from service.storage.keys import Keys
from tests.service.serving import Client, serving, settings_for

WRITTEN = Path(__file__).with_name("written_by_8441aa0")
ANSWERS: dict[str, Any] = json.loads((WRITTEN / "answers.json").read_text(encoding="utf-8"))
IDS = [prediction["id"] for prediction in ANSWERS["predictions"]["items"]]


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(WRITTEN, folder, dirs_exist_ok=True)
    with serving(settings_for(artefact, folder)) as client:
        yield client


def known(answer: object, before: object) -> object:
    """Return an answer without the members that the answer before did not have."""
    if isinstance(answer, dict) and isinstance(before, dict):
        return {name: known(value, before[name]) for name, value in answer.items() if name in before}
    if isinstance(answer, list) and isinstance(before, list) and len(answer) == len(before):
        return [known(*pair) for pair in zip(answer, before, strict=True)]
    return answer


def test_predictions_are_answered_as_before(client: Client) -> None:
    predictions = client.get("/v1/predictions").json()
    assert known(predictions, ANSWERS["predictions"]) == ANSWERS["predictions"]
    for id, prediction in zip(IDS, ANSWERS["predictions"]["items"], strict=True):
        assert known(client.get(f"/v1/predictions/{id}").json(), prediction) == prediction


def test_the_worklist_is_answered_as_before(client: Client) -> None:
    assert known(client.get("/v1/worklist").json(), ANSWERS["worklist"]) == ANSWERS["worklist"]


def test_studies_are_answered_as_before(client: Client) -> None:
    studies = client.get("/dicom-web/studies", headers={"Accept": "application/dicom+json"}).json()
    later = ("00201206", "00201208")  # numbers of series and instances, as kinds of objects were added
    before = [{tag: value for tag, value in study.items() if tag not in later} for study in ANSWERS["studies"]]
    assert known(studies, before) == before


@pytest.mark.parametrize("id", IDS)
def test_maps_are_answered_as_before(client: Client, id: str) -> None:
    maps = client.get(f"/v1/predictions/{id}/maps.json").json()
    assert set(maps.pop("references").values()) == {None}  # added later; that version's artefacts state none
    assert _sha256(json.dumps(maps, sort_keys=True).encode()) == ANSWERS["maps"][id]


# Version 0.5 draws overlays by other rules.
@pytest.mark.parametrize("path", [path for path in ANSWERS["pictures"] if not path.endswith("/overlay.png")])
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


def test_a_file_whose_display_values_have_changed_since_is_the_same_instance(artefact: Path, tmp_path: Path) -> None:
    """That revision passed over display shutters: its hash of such a file is another one than today's."""
    shutil.copytree(WRITTEN, tmp_path, dirs_exist_ok=True)
    path = next(iter(sorted((tmp_path / "instances").rglob("*.dcm"))))
    path.write_bytes(with_shutter(path.read_bytes()))
    with sqlite3.connect(tmp_path / "triage.sqlite") as connection:
        connection.execute("UPDATE predictions SET artefact_sha256 = ?", [_sha256(artefact.read_bytes())])
    connection.close()

    with serving(settings_for(artefact, tmp_path)) as client:
        answers = [client.post(path.read_bytes()) for _ in range(2)]
        other = client.post(path.read_bytes().replace(b"RECTANGULAR ", b"OCTAGONAL   "))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["id"] for answer in answers} < set(IDS)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def with_shutter(data: bytes) -> bytes:
    dataset = dcmread(BytesIO(data))
    dataset.ShutterShape = "RECTANGULAR"
    dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge = 20, dataset.Columns
    dataset.ShutterUpperHorizontalEdge, dataset.ShutterLowerHorizontalEdge = 1, dataset.Rows
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

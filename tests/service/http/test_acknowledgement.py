import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from service.http.worklist_bodies import Acknowledgement
from service.http_settings import Http
from tests.factories import dicom_bytes, noise
from tests.service.serving import Client, serving, settings_for


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        yield client


def posted(client: Client, number: int) -> dict[str, str]:
    """Return the links of a new prediction."""
    links: dict[str, str] = client.post(dicom_bytes(noise(seed=number), SOPInstanceUID=f"2.25.{number}")).json()[
        "links"
    ]
    return links


def test_it_is_kept_and_shown_in_the_worklist_and_in_its_table(client: Client) -> None:
    link = posted(client, 1)["acknowledgement"]
    assert client.get(link).json() == {"requested": False, "at": None, "by": ""}

    first = client.request("POST", link, json={"by": " Dr\tA\0 \n"})
    again = client.request("POST", link, json={"by": "B"})

    Acknowledgement.model_validate(first.json())
    assert (first.status_code, first.json()["by"]) == (200, "Dr A")
    assert datetime.fromisoformat(first.json()["at"]).tzinfo is not None
    id = link.split("/")[3]
    assert again.json() == first.json() == client.get(link).json()
    assert client.get(f"/v1/worklist/{id}").json()["acknowledgement"] == first.json()
    assert client.get(f"/v1/worklist/{id}").json()["read"] is None
    assert f"{id},{first.json()['at']},Dr A" in client.get("/v1/worklist.csv").text


def test_a_read_mark_acknowledges_too(client: Client) -> None:
    links = posted(client, 2)

    marked = client.request("PATCH", links["self"], json={"read": True, "by": "AB"}).json()

    assert marked["acknowledgement"] == {"requested": False, "at": marked["read"]["at"], "by": "AB"}


@pytest.mark.parametrize("body", [{"by": "x" * 65}, {"by": None}, {"who": "A"}, [], "A"])
def test_an_invalid_body_is_400(client: Client, body: object) -> None:
    link = posted(client, 3)["acknowledgement"]

    refused = client.request("POST", link, json=body)

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert client.get(link).json()["at"] is None


@pytest.mark.parametrize("id", ["0" * 32, "x"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_prediction_is_404(client: Client, method: str, id: str) -> None:
    assert client.request(method, f"/v1/predictions/{id}/acknowledgement").status_code == 404


def test_without_a_body_it_has_the_name_of_the_key(artefact: Path, tmp_path: Path) -> None:
    settings = settings_for(artefact, tmp_path).model_copy(update={"http": Http(keys="always")})
    with serving(settings) as client:
        keys = {scope: client.app.state.keys.add(f"pager-{scope}", [scope]) for scope in ("predict", "read")}
        headers = {scope: {"Authorization": f"Bearer {key}"} for scope, key in keys.items()}
        body, kind = dicom_bytes(noise()), {"Content-Type": "application/dicom"}
        stored = client.request("POST", "/v1/predictions", content=body, headers=headers["predict"] | kind).json()
        link = stored["links"]["acknowledgement"]

        refused = client.request("POST", link, headers=headers["read"])
        accepted = client.request("POST", link, headers=headers["predict"])

    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert accepted.json()["by"] == "pager-predict"
    assert "Patient" not in json.dumps(accepted.json())

from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from service.http.measurements import Measurement, Measurements
from service.http_settings import Http
from tests.factories import dicom_bytes, noise
from tests.service.serving import Client, serving, settings_for

LINE = {"kind": "length", "points": [[10, 20], [40, 60]]}
RATIO = {"kind": "cardiothoracic_ratio", "points": [[40, 90], [90, 91], [10, 100], [110.0, 100]]}


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client that has the key `reader`."""
    settings = settings_for(artefact, tmp_path_factory.mktemp("data")).model_copy(update={"http": Http(keys="always")})
    with serving(settings) as client:
        key = client.app.state.keys.add("reader", ["predict", "read"])
        client.http.headers["Authorization"] = f"Bearer {key}"
        yield client


def posted(client: Client, number: int) -> dict[str, str]:
    """Return the links of a new prediction."""
    data = dicom_bytes(noise(seed=number), SOPInstanceUID=f"2.25.{number}", ImagerPixelSpacing=[0.2, 0.2])
    links: dict[str, str] = client.post(data).json()["links"]
    return links


def test_they_are_kept_listed_and_deleted(client: Client) -> None:
    link = posted(client, 1)["measurements"]
    assert client.get(link).json() == {"items": []}

    line = client.request("POST", link, json=LINE | {"by": " Dr\tA\0 "})
    ratio = client.request("POST", link, json=RATIO)

    Measurement.model_validate(line.json())
    assert (line.status_code, line.json()["by"]) == (201, "Dr A")
    assert (line.json()["value"], line.json()["unit"]) == (10.0, "mm")
    assert line.json()["spacing_from"] == "ImagerPixelSpacing"
    assert ratio.json()["by"] == "reader", "the name of the key"
    assert (ratio.json()["value"], ratio.json()["unit"], ratio.json()["spacing_from"]) == (0.5, "1", None)
    assert datetime.fromisoformat(line.json()["at"]).tzinfo is not None
    listed = client.get(link).json()
    Measurements.model_validate(listed)
    assert listed["items"] == [line.json(), ratio.json()]

    one = f"{link}/{line.json()['id']}"
    assert client.request("DELETE", one, json={"by": "CD"}).status_code == 204
    assert client.request("DELETE", one).status_code == 404
    assert client.get(link).json()["items"] == [ratio.json()]


def test_each_change_makes_another_report(client: Client) -> None:
    links = posted(client, 2)
    study = dcmread(BytesIO(client.get(links["sr"]).content)).StudyInstanceUID
    instances = f"/dicom-web/studies/{study}/instances?SOPInstanceUID="
    tags: list[str] = []
    uids: list[str] = []

    for change in (None, LINE, RATIO):
        if change:
            assert client.request("POST", links["measurements"], json=change).status_code == 201
        answer = client.get(links["sr"])
        tags.append(answer.headers["etag"])
        uids.append(dcmread(BytesIO(answer.content)).SOPInstanceUID)
        assert client.get(links["sr"], headers={"If-None-Match": tags[-1]}).status_code == 304

    assert len(set(tags)) == len(set(uids)) == 3
    assert [client.get(instances + uid).status_code for uid in uids] == [204, 204, 200]
    current = client.get(instances + uids[-1]).json()[0]
    url = current["00081190"]["Value"][0].removeprefix("http://localhost")
    served = dcmread(BytesIO(client.get(url, headers={"Accept": "application/dicom"}).content))
    assert served.SOPInstanceUID == uids[-1]
    metadata = client.get(f"{url}/metadata", headers={"Accept": "application/dicom+json"}).json()[0]
    predecessors = metadata["0040A360"]["Value"][0]["00081115"]["Value"][0]["00081199"]["Value"]
    assert [one["00081155"]["Value"][0] for one in predecessors] == uids[1::-1]
    assert client.get(url.replace(uids[-1], uids[0]), headers={"Accept": "application/dicom"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (LINE | {"kind": "area"}, "invalid_request"),
        (LINE | {"points": [[1, 2]]}, "invalid_request"),
        (LINE | {"points": [[-0.5, 2], [3, 4]]}, "invalid_request"),
        (LINE | {"points": [[1, "a"], [3, 4]]}, "invalid_request"),
        (LINE | {"points": [[1, 2, 3], [3, 4]]}, "invalid_request"),
        (LINE | {"by": "x" * 65}, "invalid_request"),
        (LINE | {"value": 3}, "invalid_request"),
        (LINE | {"kind": "angle"}, "points_wrong_number"),
        (RATIO | {"kind": "length"}, "points_wrong_number"),
        (LINE | {"points": [[1, 2], [1, 2]]}, "points_equal"),
        (LINE | {"points": [[1, 2], [1, 1e9]]}, "points_outside"),
        (LINE | {"points": [[1e9, 2], [1, 1]]}, "points_outside"),
    ],
)
def test_an_invalid_measurement_is_400(client: Client, body: dict[str, Any], code: str) -> None:
    link = posted(client, 3)["measurements"]

    refused = client.request("POST", link, json=body)

    assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert client.get(link).json() == {"items": []}


def test_a_point_that_is_no_number_is_400(client: Client) -> None:
    link = posted(client, 3)["measurements"]
    body = b'{"kind": "length", "points": [[1, NaN], [3, Infinity]]}'

    refused = client.request("POST", link, content=body, headers={"Content-Type": "application/json"})

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("id", ["0" * 32, "x"])
def test_an_unknown_prediction_is_404(client: Client, id: str) -> None:
    link = f"/v1/predictions/{id}/measurements"

    assert client.get(link).status_code == 404
    assert client.request("POST", link, json=LINE).status_code == 404
    assert client.request("DELETE", f"{link}/{'0' * 32}").status_code == 404


def test_a_key_that_may_only_read_does_not_change_them(client: Client) -> None:
    link = posted(client, 4)["measurements"]
    line = client.request("POST", link, json=LINE).json()
    headers = {"Authorization": f"Bearer {client.app.state.keys.add('screen', ['read'])}"}

    refused = [
        client.request("POST", link, json=LINE, headers=headers),
        client.request("DELETE", f"{link}/{line['id']}", headers=headers),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == 2 * [(403, "missing_scope")]
    assert client.get(link, headers=headers).json()["items"] == [line]

"""Sending of objects over the REST interface: orders, results, and the state of both."""

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from service.destinations import Destination, Sending
from service.objects.kinds import DICOM_KINDS
from tests.factories import dicom_bytes, noise
from tests.service.sending.mllp_receiver import receiver
from tests.service.serving import Client, serving, settings_for
from tests.service.stub import Stub, stub


@pytest.fixture(scope="module")
def pacs() -> Iterator[Stub]:
    with stub() as server:
        yield server


@pytest.fixture(scope="module")
def board() -> Iterator[int]:
    with receiver() as port:
        yield port


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory, pacs: Stub, board: int) -> Iterator[Client]:
    sending = Sending(
        destinations=(
            Destination(name="pacs", url=pacs.url),
            Destination(name="reports", url=pacs.url, objects=("sr",)),
            Destination(name="board", protocol="hl7", host="127.0.0.1", port=board),
        ),
        send_all=("reports",),
    )
    settings = settings_for(artefact, tmp_path_factory.mktemp("sends"))
    with serving(settings.model_copy(update={"sending": sending})) as client:
        yield client


def sends(client: Client, id: str) -> list[dict[str, object]]:
    """Wait until no order is waiting, and return all orders."""
    deadline = time.monotonic() + 60
    while True:
        items: list[dict[str, object]] = client.get(f"/v1/predictions/{id}/sends").json()["items"]
        if all(item["state"] != "waiting" for item in items):
            return items
        assert time.monotonic() < deadline, items
        time.sleep(0.05)


def test_every_new_prediction_is_sent_once_to_the_destinations_of_send_all(client: Client, pacs: Stub) -> None:
    pacs.received.clear()
    data = dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.601")
    id = client.post(data).json()["id"]
    assert client.post(data).json()["id"] == id

    [item] = sends(client, id)

    assert (item["destination"], item["object"], item["state"], item["error"]) == ("reports", "sr", "sent", None)
    assert len(pacs.received) == 1


def test_an_order_for_an_hl7_destination_sends_the_message(client: Client) -> None:
    id = client.post(dicom_bytes(noise(seed=9), SOPInstanceUID="2.25.609")).json()["id"]

    ordered = client.request("POST", f"/v1/predictions/{id}/send", json={"destination": "board"})
    refused = client.request("POST", f"/v1/predictions/{id}/send", json={"destination": "board", "objects": ["sr"]})

    assert ordered.status_code == 202
    [item] = [item for item in sends(client, id) if item["destination"] == "board"]
    assert (item["object"], item["state"], item["error"]) == ("hl7", "sent", None)
    assert (refused.status_code, refused.json()["code"]) == (400, "objects_unsuitable")


def test_an_order_sends_every_object(client: Client, pacs: Stub, tmp_path: Path) -> None:
    id = client.post(dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.602")).json()["id"]
    sends(client, id)
    pacs.received.clear()

    ordered = client.request("POST", f"/v1/predictions/{id}/send", json={"destination": "pacs"})
    items = [item for item in sends(client, id) if item["destination"] == "pacs"]

    assert ordered.status_code == 202
    assert [item["object"] for item in ordered.json()["items"]] == list(DICOM_KINDS)
    assert {item["state"] for item in items} == {"sent"}
    kinds = set()
    for _, body in pacs.received:
        (tmp_path / "object").write_bytes(body.partition(b"\r\n\r\n")[2])
        kinds.add(pydicom.dcmread(tmp_path / "object", stop_before_pixels=True).Modality)
    assert kinds == {"SR", "SEG", "OT", "PR"}


def test_a_change_of_the_measurements_sends_the_report_that_names_the_earlier_one(client: Client, pacs: Stub) -> None:
    links = client.post(dicom_bytes(noise(seed=11), SOPInstanceUID="2.25.611")).json()["links"]
    id = links["self"].rpartition("/")[2]
    sends(client, id)
    first = client.get(links["sr"]).content
    pacs.received.clear()
    line = {"kind": "length", "points": [[1, 2], [30, 40]]}

    assert client.request("POST", links["measurements"], json=line).status_code == 201
    [item] = sends(client, id)

    [(_, body)] = pacs.received
    second = client.get(links["sr"]).content
    assert item["state"] == "sent"
    assert second in body
    earlier = pydicom.dcmread(BytesIO(first)).SOPInstanceUID.encode()
    assert earlier in second
    assert pydicom.dcmread(BytesIO(second)).SOPInstanceUID.encode() not in first


def test_a_second_order_sends_an_object_again(client: Client, pacs: Stub) -> None:
    id = client.post(dicom_bytes(noise(seed=3), SOPInstanceUID="2.25.603")).json()["id"]
    sends(client, id)
    pacs.received.clear()
    order = {"destination": "reports", "objects": ["sr"]}

    assert client.request("POST", f"/v1/predictions/{id}/send", json=order).status_code == 202
    sends(client, id)

    assert len(pacs.received) == 1


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"destination": "Tweety"}, "unknown_destination"),
        ({"destination": "pacs", "objects": ["Tweety"]}, "invalid_request"),
        ({"destination": "pacs", "objects": []}, "invalid_request"),
        ({"destination": "pacs", "url": "http://tweety.example"}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
def test_an_invalid_order_is_400(client: Client, order: dict[str, object], code: str) -> None:
    id = client.post(dicom_bytes(noise(seed=4), SOPInstanceUID="2.25.604")).json()["id"]

    answer = client.request("POST", f"/v1/predictions/{id}/send", json=order)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert "weety" not in answer.text


def test_orders_for_an_unknown_prediction_are_404(client: Client) -> None:
    for method, path in (("POST", "send"), ("GET", "sends")):
        answer = client.request(method, f"/v1/predictions/{'0' * 32}/{path}", json={"destination": "pacs"})
        assert answer.status_code == 404

"""Faults of what is around a running service: its artefact, its clock, its clients, and the signal that ends it."""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.factories import dicom_bytes, noise
from tests.service.dimse.serving import Process, environment, service

FAKE_TIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
UPLOAD = {"Content-Type": "application/dicom"}
YEARS = 5 * 365 * 86_400


def radiograph(number: int) -> bytes:
    return dicom_bytes(noise(seed=number), SOPInstanceUID=f"2.25.77{number}")


@contextmanager
def serving(artefact: Path, folder: Path, **variables: str) -> Iterator[tuple[Process, httpx.Client]]:
    with (
        service(environment(artefact, folder, **variables), folder / "log") as served,
        httpx.Client(base_url=served.address, timeout=60) as client,
    ):
        yield served, client


def post(client: httpx.Client, number: int) -> httpx.Response:
    return client.post("/v1/predictions", content=radiograph(number), headers=UPLOAD)


@pytest.mark.parametrize("fault", ["deleted", "truncated", "replaced"])
def test_an_artefact_that_changes_while_the_service_runs_changes_nothing(
    artefact: Path, tmp_path: Path, fault: str
) -> None:
    copy = tmp_path / "agcnn.onnx"
    shutil.copy(artefact, copy)
    with serving(copy, tmp_path) as (_, client):
        before = post(client, 1).json()
        if fault == "deleted":
            copy.unlink()
        elif fault == "truncated":
            os.truncate(copy, 1000)
        else:
            copy.write_bytes(os.urandom(copy.stat().st_size))
        after = post(client, 2).json()

        assert after["model"] == before["model"]
        assert client.get("/v1/model").json()["sha256"] == before["model"]["sha256"]
        assert post(client, 1).json()["id"] == before["id"]


def test_a_clock_that_jumps_costs_nothing(artefact: Path, tmp_path: Path) -> None:
    """Nothing is deleted by its age, and results are stored and listed while the clock is wrong and after."""
    if FAKE_TIME is None:
        pytest.skip("libfaketime is not installed; Debian's package libfaketime has it")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    variables = {
        **{"LD_PRELOAD": str(FAKE_TIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"},
        **{"FAKETIME_DONT_FAKE_MONOTONIC": "1", "TRIAGE_STORAGE__KEEP_DAYS": "30"},
    }
    with serving(artefact, tmp_path, **variables) as (_, client):
        ids = [post(client, 1).json()["id"]]
        for number, jump in enumerate((YEARS, -YEARS, 0), 2):
            clock.write_text(f"{jump:+d}")
            time.sleep(0.2)
            ids.append(post(client, number).json()["id"])
            assert client.get("/readyz").status_code == 200

        created = [client.get(f"/v1/predictions/{id}").json()["created"] for id in ids]
        assert sorted(created) != created, "the clock has not jumped"
        assert {entry["id"] for entry in client.get("/v1/worklist").json()["items"]} == set(ids)
        for id in ids:
            assert client.get(f"/v1/predictions/{id}/image.png").status_code == 200


def test_a_client_that_goes_in_mid_upload_leaves_nothing(artefact: Path, tmp_path: Path) -> None:
    data = radiograph(1)
    head = "POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/dicom\r\nContent-Length: "
    with serving(artefact, tmp_path) as (served, client):
        for part in (0, 1, 1000, len(data) - 1):
            for reset in (False, True):
                with socket.create_connection(("127.0.0.1", served.port)) as connection:
                    connection.sendall(f"{head}{len(data)}\r\n\r\n".encode() + data[:part])
                    time.sleep(0.1)
                    if reset:  # RST in place of FIN
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert post(client, 2).status_code == 200
        deadline = time.monotonic() + 120
        while leftovers := list((tmp_path / "data" / "instances").rglob("*.partial")):
            assert time.monotonic() < deadline, leftovers
            time.sleep(0.05)
        assert len(client.get("/v1/predictions").json()["items"]) == 1
    assert '"error"' not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("after", [0.0, 0.3, 0.7])
def test_sigterm_under_load_ends_the_service_without_a_loss(artefact: Path, tmp_path: Path, after: float) -> None:
    acknowledged: list[str] = []
    variables = environment(artefact, tmp_path)
    with service(variables, tmp_path / "log") as served:

        def send(first: int) -> None:
            with httpx.Client(base_url=served.address, timeout=60) as client, suppress(httpx.TransportError):
                for number in range(first, first + 1000):
                    if (answer := post(client, number)).status_code == 200:
                        acknowledged.append(answer.json()["id"])

        threads = [threading.Thread(target=send, args=(1000 * number,)) for number in range(1, 4)]
        for thread in threads:
            thread.start()
        while not acknowledged:
            time.sleep(0.01)
        time.sleep(after)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(120) == 0
        for thread in threads:
            thread.join()

    assert not list((tmp_path / "data" / "instances").rglob("*.partial"))
    with serving(artefact, tmp_path) as (_, client):
        for id in acknowledged:
            assert client.get(f"/v1/predictions/{id}/image.png").status_code == 200
    assert "Traceback" not in (tmp_path / "log").read_text()

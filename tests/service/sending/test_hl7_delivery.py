"""From radiograph to receiver, both in processes of their own that are killed: nothing is lost, and repeats are known.

The receiver is python-hl7's MLLP server. A message whose acknowledgement was lost is sent again with its control id, so
the receiver can drop the repeat; the tests do the same.
"""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hl7
import httpx

from tests.conftest import ROOT
from tests.factories import dicom_bytes, noise
from tests.ports import free_port
from tests.service.dimse.serving import environment, service
from tests.service.sending.receiver import whole_lines

SECONDS = 240  # the pauses between attempts have doubled while a slow receiver started


@contextmanager
def receiver(port: int, file: Path, *mode: str) -> Iterator[subprocess.Popen[bytes]]:
    """The receiver as a process; it is killed at the end."""
    command = [sys.executable, "-m", "tests.service.sending.mllp_receiver", str(port), str(file), *mode]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def received(file: Path) -> list[hl7.Message]:
    return [hl7.parse(json.loads(line)) for line in whole_lines(file)]


def accession(message: hl7.Message) -> str:
    return str(message.segment("OBR")[18])


def post(http: httpx.Client, number: int, study: str) -> str:
    elements = {"SOPInstanceUID": f"2.25.70{number}", "StudyInstanceUID": study, "AccessionNumber": f"A{number}"}
    data = dicom_bytes(noise(seed=number), **elements)
    answer = http.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})
    id: str = answer.json()["id"]
    return id


def send(http: httpx.Client, id: str) -> dict[str, object]:
    [item] = http.get(f"/v1/predictions/{id}/sends").json()["items"]
    assert isinstance(item, dict)
    return item


def half_a_minute_later(folder: Path) -> None:
    """End the leases of the killed process: nobody waits for them in a test."""
    with sqlite3.connect(folder / "data" / "triage.sqlite") as database:
        database.execute("UPDATE outbox SET due = created WHERE state = 'waiting'")
    database.close()


def test_nothing_is_lost_or_doubled_when_either_side_is_killed(artefact: Path, tmp_path: Path) -> None:
    port, file, log = free_port(), tmp_path / "received", tmp_path / "log"
    board = {"name": "board", "protocol": "hl7", "host": "127.0.0.1", "port": port}
    settings = {"DESTINATIONS": json.dumps([board]), "SEND_ALL": '["board"]', "PAUSE_SECONDS": "0.2"}
    variables = environment(artefact, tmp_path, **{f"TRIAGE_SENDING__{key}": text for key, text in settings.items()})
    ids = {}

    # The receiver is down; then it takes a message, and the service is killed before the acknowledgement.
    with service(variables, log) as first, httpx.Client(base_url=first.address, timeout=60) as http:
        ids = {number: post(http, number, study) for number, study in ((1, "2.25.71"), (2, "2.25.71"), (3, "2.25.72"))}
        wait(lambda: send(http, ids[1])["error"] == "unreachable")
        with receiver(port, file, "mute"):
            wait(lambda: len(received(file)) == 1)
            first.process.kill()
            first.process.wait(SECONDS)
    half_a_minute_later(tmp_path)

    # The receiver takes a message and is killed before it acknowledges it; then it is up again.
    with service(variables, log) as second, httpx.Client(base_url=second.address, timeout=60) as http:
        with receiver(port, file, "mute"):
            wait(lambda: len(received(file)) == 2)
        ids |= {4: post(http, 4, "2.25.71")}
        with receiver(port, file):
            wait(lambda: all(send(http, id)["state"] == "sent" for id in ids.values()))

    messages = received(file)
    first_of: dict[str, hl7.Message] = {}
    for message in messages:
        same = first_of.setdefault(str(message.segment("MSH")[10]), message)
        assert str(same) == str(message)  # a repeat is the same message
    distinct = list(map(accession, first_of.values()))
    assert sorted(distinct) == ["A1", "A2", "A3", "A4"]
    assert len(messages) > len(distinct)  # the two that were not acknowledged came again
    assert [number for number in distinct if number != "A3"] == ["A1", "A2", "A4"]  # the order of the study
    assert "Canary" not in log.read_text()

"""Alerts survive the kill of the service and of the receiver, each a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from model.labels import LABELS
from tests.conftest import ROOT
from tests.ports import free_port
from tests.service.sending.receiver import SECRET, Message, messages, receiver_process
from tests.service.web.running import post, radiograph

_SERVE = "from service.cli.app import main; main()"


@contextmanager
def service(artefact: Path, folder: Path, url: str) -> Iterator[httpx.Client]:
    """Run the service, which alerts of every finding; at the end it is killed."""
    (folder / "secret").write_text(SECRET)
    pager = {"name": "pager", "protocol": "webhook", "url": url, "secret_file": str(folder / "secret")}
    settings = {
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_METRICS__PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(folder / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "TRIAGE_RUNTIME__THREADS": "1",
        "TRIAGE_TRIAGE__STAT": json.dumps(LABELS),
        "TRIAGE_SENDING__DESTINATIONS": json.dumps([pager | {"repeat_seconds": 0.3}]),
        "TRIAGE_SENDING__SEND_ALL": '["pager"]',
        "TRIAGE_SENDING__PAUSE_SECONDS": "0.2",
    }
    command = [sys.executable, "-c", _SERVE, "serve"]
    started = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        with httpx.Client(base_url=started.stdout.readline().split()[3], timeout=60) as client:
            wait(lambda: client.get("/readyz").status_code == 200)
            yield client
    finally:
        started.send_signal(signal.SIGKILL)
        started.communicate()


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240  # also for a lease of 30 s, while processes start slowly
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_alert_is_lost_and_repeats_are_recognised_by_their_id(artefact: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/hook/"
    file = tmp_path / "received"

    def received(id: str) -> list[Message]:
        return [message for message in messages(file) if message.document["data"]["id"] == id]

    with service(artefact, tmp_path, url) as client:  # the receiver is down
        first = post(client, radiograph(1))["id"]
        wait(lambda: client.get(f"/v1/predictions/{first}/sends").json()["items"][0]["error"] == "unreachable")
    with service(artefact, tmp_path, url) as client, receiver_process(port, file):
        second = post(client, radiograph(2))["id"]
        wait(lambda: len(received(first)) >= 2 and len(received(second)) >= 1)
    with service(artefact, tmp_path, url) as client, receiver_process(port, file):  # both were killed
        before = {id: len(received(id)) for id in (first, second)}  # the one under way has to wait for its lease
        wait(lambda: all(len(received(id)) >= count + 2 for id, count in before.items()))
        for id in (first, second):
            client.post(f"/v1/predictions/{id}/acknowledgement").raise_for_status()
        [entry] = client.get(f"/v1/predictions/{first}/sends").json()["items"]
        assert (entry["state"], entry["error"]) == ("acknowledged", None)
        count = len(messages(file))
        time.sleep(1.5)
        assert len(messages(file)) <= count + 2  # one message of each result may have been under way

    for id in (first, second):
        numbers = [int(message.id.rpartition("-")[2]) for message in received(id)]
        assert numbers == [message.document["data"]["repeat"] for message in received(id)]
        assert sorted(set(numbers)) == list(range(max(numbers) + 1)), "one is missing"
        assert len(numbers) - len(set(numbers)) <= 1, "more than the one under way at the kill was doubled"
    assert len({message.id.rpartition("-")[0] for message in messages(file)}) == 2

"""What `bench/fuzz.py` takes for a failure."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import httpx
import pytest

from bench import fuzz
from bench.fuzz import Report, Running, _check_log, _sent
from bench.processes import memory_bytes, tree, workers
from tests.hostile.generators import Input
from tests.service.dimse.serving import Process
from tests.service.stub import stub

_PARENT = """
import multiprocessing, time
multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,)).start()
print(1, flush=True)
"""
DATA = Input("dicom/1", "predictions", b"DICM")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Logs without processes behind them."""
    (tmp_path / "log").write_text("")
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        known = Process(cast("subprocess.Popen[str]", process), "", tmp_path / "log")
        with httpx.Client(timeout=60, trust_env=False) as client:
            yield Running(known, known, client)
        process.communicate()


@pytest.mark.parametrize(
    ("line", "failures"),
    [
        ({"event": "refused", "code": "truncated"}, 0),
        ({"event": "unexpected", "error": "KeyError"}, 1),
        ("Traceback", 1),
    ],
)
def test_unexpected_lines_of_the_log_are_failures(running: Running, line: object, failures: int) -> None:
    report = Report()
    running.http.log.write_text(f"{line if isinstance(line, str) else json.dumps(line)}\n")

    for _ in range(2):  # a line is read once
        _check_log(running, ["dicom/1"], report)

    assert len(report.failures) == failures


@pytest.mark.parametrize(
    ("code", "new", "failures"),
    [("decode_timeout", 1, 0), ("decoder_failed", 2, 0), ("decoder_failed", 3, 1), ("x", 1, 1)],
)
def test_a_new_decoder_process_needs_a_reason(
    running: Running, monkeypatch: pytest.MonkeyPatch, code: str, new: int, failures: int
) -> None:
    report = Report()
    running.workers = {100, 101}
    monkeypatch.setattr(fuzz, "workers", lambda _: {100, 101})
    running.http.log.write_text(json.dumps({"event": "refused", "code": code}) + "\n")
    _check_log(running, ["dicom/1"], report)
    monkeypatch.setattr(fuzz, "workers", lambda _: set(range(101, 102 + new)))  # started when the next file needs it
    _check_log(running, ["dicom/2"], report)

    assert (len(report.failures), report.replaced) == (failures, new)


def test_answers_and_broken_connections_are_told_apart(running: Running) -> None:
    with stub() as http:
        running.client.base_url = httpx.URL(http.url)
        http.answer(500, code="internal_error")
        assert _sent(running, DATA)[1] == "predictions 500"
        http.answer(200)
        assert _sent(running, DATA)[1] == "predictions 200"
    running.client.base_url = httpx.URL("http://127.0.0.1:1")
    assert _sent(running, DATA)[1] == "predictions broken: ConnectError"


def test_the_tree_of_a_process_and_its_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            assert process.pid in tree(os.getpid())
            assert len(tree(process.pid)) >= 2
            deadline = time.monotonic() + 60
            while not workers(process.pid) and time.monotonic() < deadline:
                time.sleep(0.01)  # a new process has the command line of its parent at first
            assert len(workers(process.pid)) == 1
            assert memory_bytes(tree(process.pid)) > memory_bytes({process.pid}) > 2**20
        finally:
            for number in tree(process.pid) - {process.pid}:
                with suppress(ProcessLookupError):  # the process that keeps track of resources ends after the other
                    os.kill(number, 9)

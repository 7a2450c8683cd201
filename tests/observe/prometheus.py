"""Debian's Prometheus, with the configuration of the profile `observe` and the addresses of a test."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT
from tests.ports import free_port

FOLDER = ROOT / "docker" / "observe"


def tool(name: str) -> str:
    """Return the path of `prometheus` or `promtool` (Debian package prometheus)."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed; Debian's package prometheus has it")
    return path


def configuration(service: str, acceptor: str) -> str:
    """Return the configuration that ships, with two addresses in place of the containers' names and short intervals."""
    text = (FOLDER / "prometheus.yml").read_text()
    for job, address in {"triage": service, "triage-dimse": acceptor}.items():
        text, count = re.subn(
            rf"(job_name: {job}\n    )dns_sd_configs:\n(      - .*\n)+",
            rf'\1static_configs: [{{targets: ["{address}"]}}]\n',
            text,
        )
        assert count == 1, job
    text, count = re.subn(r"(scrape|evaluation)_interval: 15s", r"\1_interval: 1s", text)
    assert count == 2
    return text.replace("[rules.yml]", f"[{FOLDER / 'rules.yml'}]")


class Prometheus:
    """A running Prometheus, asked about now, or about one moment: a scrape that fails ends all series until the next.

    Attributes
    ----------
    moment
        The time that is asked about; None: now.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.moment: float | None = None

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer."""
        answer = self._http.get(path, params=parameters)
        assert answer.status_code == 200, (parameters, answer.text)
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression at the moment."""
        return list(self.get("query", query=expression, time=str(self.moment or time.time()))["result"])

    def series_over_time(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression over the minute before, as a panel asks for them."""
        end = self.moment or time.time()
        parameters = {"query": expression, "start": str(end - 60), "end": str(end), "step": "1"}
        return list(self.get("query_range", **parameters)["result"])

    def wait_for(self, expression: str) -> None:
        """Wait until an expression has a series."""
        deadline = time.monotonic() + 60
        while not self.query(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.1)

    def stay_where(self, *expressions: str) -> list[str]:
        """Wait until all expressions have a series, and ask about that moment from then on.

        Return those that have none after a minute; then it is asked about now.
        """
        deadline = time.monotonic() + 60
        while True:
            self.moment = time.time()
            missing = [expression for expression in expressions if not self.query(expression)]
            if not missing:
                return []
            if time.monotonic() > deadline:
                self.moment = None
                return missing
            time.sleep(0.1)


@contextmanager
def prometheus(folder: Path, configuration: str) -> Iterator[Prometheus]:
    """Run Prometheus until the block ends."""
    port = free_port()
    (folder / "prometheus.yml").write_text(configuration)
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "series",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    with (folder / "prometheus.log").open("w") as log:
        command = [tool("prometheus"), *(f"--{name}={value}" for name, value in options.items())]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/-/ready", process, folder / "prometheus.log")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=30) as http:
            yield Prometheus(http)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)

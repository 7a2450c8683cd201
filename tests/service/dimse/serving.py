"""The two processes, `triage serve` and `triage dimse`, and DCMTK's tools against them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT

TRIAGE = Path(sys.executable).with_name("triage")


@dataclass(frozen=True)
class Process:
    """A running command and the first line that it printed."""

    process: subprocess.Popen[str]
    first_line: str
    log: Path

    @property
    def address(self) -> str:
        """URL of `triage serve`."""
        return self.first_line.split()[3]

    @cached_property
    def metrics(self) -> str:
        """URL of the metrics of `triage dimse`."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()[-1]

    @property
    def port(self) -> int:
        """Port of `triage dimse` or `triage serve`."""
        return int(self.first_line.split()[-1]) if "port" in self.first_line else int(self.address.rpartition(":")[2])


def environment(artefact: Path, folder: Path, **variables: str) -> dict[str, str]:
    """Variables for a service in a folder of its own, on free ports."""
    return {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_DIMSE__PORT": "0",
        "TRIAGE_METRICS__PORT": "0",
        "TRIAGE_METRICS__DIMSE_PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(folder / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "TRIAGE_RUNTIME__THREADS": "1",
    } | variables


@contextmanager
def process(
    arguments: Sequence[str], environment: dict[str, str], log: Path, before: Sequence[str] = ()
) -> Iterator[Process]:
    """Run `triage` until the end of the block, by the command `before`; its standard error goes to `log`."""
    with log.open("a") as stream:
        started = subprocess.Popen(
            [*before, TRIAGE, *arguments], env=environment, stdout=subprocess.PIPE, stderr=stream, text=True
        )
    try:
        assert started.stdout is not None
        first_line = started.stdout.readline().split("(")[0].strip()
        assert first_line, log.read_text()
        yield Process(started, first_line, log)
    finally:
        started.kill()
        started.communicate()


@contextmanager
def service(variables: dict[str, str], log: Path, before: Sequence[str] = ()) -> Iterator[Process]:
    """Run `triage serve` and wait until it is ready."""
    with process(["serve"], variables, log, before) as running:
        deadline = time.monotonic() + 300
        while httpx.get(f"{running.address}/readyz", timeout=60).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield running


@contextmanager
def acceptor(variables: dict[str, str], service_url: str, log: Path, before: Sequence[str] = ()) -> Iterator[Process]:
    """Run `triage dimse`, which forwards to the service at a URL."""
    with process(["dimse"], variables | {"TRIAGE_DIMSE__SERVICE_URL": service_url}, log, before) as running:
        yield running


def tool(name: str) -> str:
    """Return the path of a DCMTK command (Debian package dcmtk)."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed; Debian's package dcmtk has it")
    return path


def dcmtk(name: str, port: int, *arguments: str | Path, called: str = "TRIAGE") -> subprocess.CompletedProcess[str]:
    """Run `storescu` or `echoscu` against a port of this machine."""
    command = [tool(name), "-v", "-aec", called, *map(str, arguments[:-1] if arguments else ())]
    rest = [str(arguments[-1])] if arguments else []
    return subprocess.run(
        [*command, "127.0.0.1", str(port), *rest], capture_output=True, text=True, timeout=120, check=False
    )

"""The two processes, `triage serve` and `triage dimse`, and DCMTK's tools against them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT

TRIAGE = Path(sys.executable).with_name("triage")


@dataclass(frozen=True)
class Process:
    """A command that runs, and the line it greeted with."""

    process: subprocess.Popen[str]
    greeting: str
    log: Path

    @property
    def address(self) -> str:
        """Of `triage serve`."""
        return self.greeting.split()[3]

    @property
    def port(self) -> int:
        """Of `triage dimse`, or of `triage serve`."""
        return int(self.greeting.split()[-1]) if "port" in self.greeting else int(self.address.rpartition(":")[2])


def environment(artefact: Path, folder: Path, **variables: str) -> dict[str, str]:
    """One in which two of these do not meet, on free ports."""
    return {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_DIMSE__PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(folder / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "TRIAGE_RUNTIME__THREADS": "1",
    } | variables


@contextmanager
def process(arguments: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[Process]:
    """Run `triage` until the end of the block; what it says on standard error is in `log`."""
    with log.open("a") as stream:
        started = subprocess.Popen(
            [TRIAGE, *arguments], env=environment, stdout=subprocess.PIPE, stderr=stream, text=True
        )
    try:
        assert started.stdout is not None
        greeting = started.stdout.readline().split("(")[0].strip()
        assert greeting, log.read_text()
        yield Process(started, greeting, log)
    finally:
        started.kill()
        started.communicate()


@contextmanager
def service(variables: dict[str, str], log: Path) -> Iterator[Process]:
    """Run `triage serve`, ready."""
    with process(["serve"], variables, log) as found:
        until = time.monotonic() + 60
        while httpx.get(f"{found.address}/readyz", timeout=60).status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        yield found


@contextmanager
def door(variables: dict[str, str], service_url: str, log: Path) -> Iterator[Process]:
    """Run `triage dimse` before a service."""
    with process(["dimse"], variables | {"TRIAGE_DIMSE__SERVICE_URL": service_url}, log) as found:
        yield found


def tool(name: str) -> str:
    """Path of one of DCMTK's commands (Debian: dcmtk)."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} here; Debian's package dcmtk has it")
    return path


def dcmtk(name: str, port: int, *arguments: str | Path, called: str = "TRIAGE") -> subprocess.CompletedProcess[str]:
    """Run `storescu` or `echoscu` against a port of this machine."""
    command = [tool(name), "-v", "-aec", called, *map(str, arguments[:-1] if arguments else ())]
    rest = [str(arguments[-1])] if arguments else []
    return subprocess.run(
        [*command, "127.0.0.1", str(port), *rest], capture_output=True, text=True, timeout=120, check=False
    )

"""The README's first command as a new user runs it: in a clean clone, with an empty home and nothing installed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT

MINUTES = 10


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of a fresh login, and the variables by which this machine reaches its package index."""
    kept = re.compile(r"PATH|LANG|LC_.*|.*_CERT|.*_CA_.*|.*CERT_.*|PIP_.*|.*_proxy|.*_PROXY")
    environment = {name: value for name, value in os.environ.items() if kept.fullmatch(name)}
    this_environment = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in environment["PATH"].split(os.pathsep) if part != this_environment)
    ports = {"TRIAGE_HTTP__PORT": "0", "TRIAGE_METRICS__PORT": "0"}
    return environment | ports | {"HOME": str(home), "PATH": path, "PIP_NO_CACHE_DIR": "1"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.environ.get("CI") != "true":
        pytest.skip("installs everything from the package index; CI=true runs it")
    folder = tmp_path_factory.mktemp("newcomer")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")], check=True)
    (folder / "home").mkdir()
    return folder / "clone"


@pytest.fixture(scope="module")
def address(clone: Path) -> Iterator[str]:
    """Start `make serve` and return the address that it prints."""
    with (clone.parent / "out").open("w+") as out:
        process = subprocess.Popen(
            ["make", "serve"],
            cwd=clone,
            env=clean_environment(clone.parent / "home"),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield _address(process, clone.parent / "out")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def _address(process: subprocess.Popen[bytes], out: Path) -> str:
    deadline = time.monotonic() + 60 * MINUTES
    while time.monotonic() < deadline and process.poll() is None:
        match = re.search(r"curl -F file=@\S+ (http://\S+)/v1/predictions", out.read_text())
        if match is not None and ready(match[1]):
            return match[1]
        time.sleep(0.5)
    pytest.fail(f"not ready:\n{out.read_text()}")


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.newcomer
@pytest.mark.timeout(60 * (MINUTES + 2))
def test_make_serve_answers_the_curl_command_that_it_prints(clone: Path, address: str) -> None:
    curl = ["curl", "--silent", "--fail", "-F", f"file=@{clone}/samples/pneumothorax.dcm", f"{address}/v1/predictions"]
    answer = httpx.Response(200, content=subprocess.run(curl, check=True, capture_output=True).stdout).json()
    assert len(answer["findings"]) == 14
    assert answer["priority"] in {"STAT", "HIGH", "ROUTINE"}
    overlay = httpx.get(address + answer["links"]["overlay"], timeout=60)
    assert overlay.content.startswith(b"\x89PNG")


@pytest.mark.newcomer
def test_the_service_needs_no_torch(clone: Path, address: str) -> None:
    installed = subprocess.run(
        [clone / ".venv/bin/python", "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    ).stdout
    assert "onnxruntime" in installed
    assert not re.search(r"^(torch|scipy|opencv.*|pylibjpeg-libjpeg)==", installed, re.MULTILINE)

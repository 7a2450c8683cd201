"""Drivers of a Docker engine and of a deployment of the compose file."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
from pydicom.uid import generate_uid

from tests.ports import free_ports

GRACE_SECONDS = 40
_PROJECT = f"agcnn-triage-test-{os.getpid()}"
_ADDRESSES = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"


@dataclass(frozen=True)
class Engine:
    """The `docker` command, with the environment variables that select the engine."""

    environment: Mapping[str, str]

    def try_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever its exit status."""
        return subprocess.run(
            ["docker", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def run(self, *arguments: str) -> str:
        """Run a command that must succeed, and return its output."""
        result = self.try_run(*arguments)
        assert result.returncode == 0, f"docker {' '.join(arguments)}\n{result.stdout[-8000:]}\n{result.stderr[-8000:]}"
        return result.stdout.strip()

    def build(self, *arguments: str) -> None:
        """Build an image; if that fails, once more, since it fetches packages: what was built before is kept."""
        command = ("build", "-q", *arguments)
        if self.try_run(*command).returncode:
            self.run(*command)

    def answers(self) -> bool:
        try:
            return self.try_run("info", "--format", "{{.ID}}").returncode == 0
        except FileNotFoundError:
            return False

    def inspect(self, container: str, template: str) -> str:
        return self.run("inspect", "--format", template, container)

    def address(self, container: str) -> str:
        """Return an address of the container that this machine reaches without the engine's proxy."""
        return self.inspect(container, _ADDRESSES).split()[0]


@dataclass
class Deployment:
    """The compose file, with a project name, ports and secrets for this test run."""

    engine: Engine
    root: Path
    profiles: str
    secrets: Path
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("HTTP", "HTTPS", "PACS_HTTP", "PACS_DICOM", "VIEWER", "PROMETHEUS", "GRAFANA")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        addresses = {f"{name}_ADDRESS": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        self.engine = Engine({**self.engine.environment, **addresses, "SECRETS": str(self.secrets)})

    def compose(self, *arguments: str) -> str:
        files = ("--project-directory", str(self.root), "-f", str(self.root / "docker-compose.yml"))
        profiles = [option for profile in self.profiles.split() for option in ("--profile", profile)]
        return self.engine.run("compose", "-p", _PROJECT, *files, *profiles, *arguments)

    def script(self, path: str) -> None:
        """Run a script of the repository, which calls `docker compose` as it is called by hand."""
        variables = {"COMPOSE_PROJECT_NAME": _PROJECT, "COMPOSE_PROFILES": ",".join(self.profiles.split())}
        environment = {**self.engine.environment, **variables}
        result = subprocess.run([self.root / path], cwd=self.root, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, f"{path}\n{result.stdout[-8000:]}\n{result.stderr[-8000:]}"

    def up(self, *services: str) -> None:
        self.compose("up", "-d", "--wait", "--wait-timeout", "120", "--no-build", "--pull", "never", *services)

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.compose("config", "--format", "json")))

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", service).split()

    def container(self, service: str) -> str:
        [only] = self.containers(service)
        return only

    def inside(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command)

    def headers(self, service: str) -> dict[str, str]:
        """Return the headers of a client that uses the first key."""
        return {"Authorization": f"Bearer {self.inside(service, 'cat', '/data/first_key')}"}

    def cold_start_seconds(self, service: str) -> float:
        """Return the time from the start of the container to the log line `ready`."""
        container = self.container(service)
        started = datetime.fromisoformat(self.engine.inspect(container, "{{.State.StartedAt}}"))
        log = self.engine.try_run("logs", container).stderr
        ready = next(line for line in map(json.loads, _json_lines(log)) if line["event"] == "ready")
        return (datetime.fromisoformat(ready["time"]) - started).total_seconds()


def stamped(sample: bytes) -> bytes:
    """Return the radiograph with a new SOP Instance UID."""
    dataset = pydicom.dcmread(BytesIO(sample))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def wait_for(url: str, **options: Any) -> httpx.Response:
    """Send GET requests until the answer is 200."""
    deadline = time.monotonic() + 300
    while True:
        try:
            answer = httpx.get(url, timeout=10, **options)
        except httpx.TransportError as error:
            last: object = error
        else:
            if answer.status_code == 200:
                return answer
            last = answer.text
        assert time.monotonic() < deadline, f"{url}: {last}"
        time.sleep(0.1)


def _json_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("{")]

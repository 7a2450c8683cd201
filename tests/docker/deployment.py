"""A Docker engine, and one deployment of the compose file, as the tests drive them."""

import json
import os
import socket
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

GRACE_SECONDS = 40
_ADDRESSES = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"


@dataclass(frozen=True)
class Engine:
    """Docker's command, in the environment that finds the engine."""

    environment: Mapping[str, str]

    def try_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
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
        done = self.try_run(*arguments)
        assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
        return done.stdout.strip()

    def answers(self) -> bool:
        try:
            return self.try_run("info", "--format", "{{.ID}}").returncode == 0
        except FileNotFoundError:
            return False

    def inspect(self, container: str, template: str) -> str:
        return self.run("inspect", "--format", template, container)

    def address(self, container: str) -> str:
        """An address of the container that this machine reaches without a proxy of the engine's between."""
        return self.inspect(container, _ADDRESSES).split()[0]


@dataclass
class Deployment:
    """The compose file under a project name, ports and secrets of its own."""

    engine: Engine
    root: Path
    profile: str
    secrets: Path
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("HTTP", "HTTPS", "PACS_HTTP", "PACS_DICOM")
        self.ports = {name: _free_port() for name in names}
        addresses = {f"{name}_ADDRESS": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        self.engine = Engine({**self.engine.environment, **addresses, "SECRETS": str(self.secrets)})

    def compose(self, *arguments: str) -> str:
        name = f"agcnn-triage-test-{os.getpid()}"
        files = ("--project-directory", str(self.root), "-f", str(self.root / "docker-compose.yml"))
        return self.engine.run("compose", "-p", name, *files, "--profile", self.profile, *arguments)

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
        """What a client sends that read the first key as the service says."""
        return {"Authorization": f"Bearer {self.inside(service, 'cat', '/data/first_key')}"}

    def cold_start_seconds(self, service: str) -> float:
        """How long after its container was started the service said ready."""
        container = self.container(service)
        started = datetime.fromisoformat(self.engine.inspect(container, "{{.State.StartedAt}}"))
        log = self.engine.try_run("logs", container).stderr
        ready = next(line for line in map(json.loads, _json_lines(log)) if line["event"] == "ready")
        return (datetime.fromisoformat(ready["time"]) - started).total_seconds()


def stamped(sample: bytes) -> bytes:
    """The radiograph under a SOP Instance UID of its own."""
    dataset = pydicom.dcmread(BytesIO(sample))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def wait_for(url: str, **options: Any) -> httpx.Response:
    """Ask until the answer is 200."""
    until = time.monotonic() + 60
    while True:
        try:
            answer = httpx.get(url, timeout=10, **options)
        except httpx.TransportError as error:
            said: object = error
        else:
            if answer.status_code == 200:
                return answer
            said = answer.text
        assert time.monotonic() < until, f"{url}: {said}"
        time.sleep(0.1)


def _json_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("{")]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

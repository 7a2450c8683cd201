"""`docker/roll.sh` with a new version that does not become ready; `test_replicas.py` runs it with one that does."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docker.deployment import Engine

pytestmark = pytest.mark.docker

COMPOSE = """
services:
  replica:
    profiles: [postgres]
    image: {image}
    pull_policy: never
    entrypoint: [python, -c, "${{PROGRAM}}"]
    network_mode: none
    stop_grace_period: 1s
    healthcheck:
      test: [CMD, python, -c, "open('/tmp/ready')"]
      interval: 300ms
      timeout: 10s
      retries: 10
      start_period: 1s
"""
READY = "import time; open('/tmp/ready', 'w').close(); time.sleep(600)"
NEVER_READY = "import time; time.sleep(600)"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(engine: Engine, image: str, tmp_path: Path) -> Iterator[Run]:
    """Return a function that runs a command beside a compose file whose replicas run a program."""
    (tmp_path / "docker-compose.yml").write_text(COMPOSE.format(image=image))

    def run(program: str, *command: str) -> subprocess.CompletedProcess[str]:
        names = {"COMPOSE_PROJECT_NAME": f"agcnn-triage-roll-{os.getpid()}", "COMPOSE_PROFILES": "postgres"}
        environment = {**engine.environment, **names, "PROGRAM": program}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    yield run
    run("", "docker", "compose", "down", "--timeout", "1")


def test_a_version_that_does_not_become_ready_replaces_nothing_and_is_removed(run: Run) -> None:
    roll = str(ROOT / "docker" / "roll.sh")

    def replicas() -> set[str]:
        return set(run("", "docker", "compose", "ps", "--all", "--quiet", "replica").stdout.split())

    started = run(READY, "docker", "compose", "up", "--detach", "--wait", "--scale", "replica=2")
    assert started.returncode == 0, started.stderr
    before = replicas()
    assert len(before) == 2

    failed = run(NEVER_READY, roll)
    assert failed.returncode == 1
    assert "does not become ready" in failed.stderr
    assert replicas() == before

    mended = run(READY, roll)
    assert mended.returncode == 0, mended.stderr
    after = replicas()
    assert (len(after), after & before) == (2, set())

"""The service's image: its size, contents and labels."""

import json
import time
import tomllib
from pathlib import Path

import pytest

from tests.docker.deployment import Engine

pytestmark = pytest.mark.docker

CONFINED = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "-v", "/data")
SURVEY = """
import importlib.util, json, os, shutil, sys
from importlib.metadata import distributions
modules = ("pip", "ensurepip", "setuptools", "torch", "torchvision", "cv2", "model", "training", "service", "psycopg")
tools = ("cc", "c++", "gcc", "g++", "clang", "tcc", "make", "ld", "as", "rustc", "pip", "pip3", "uv", "agcnn")
json.dump({
    "modules": [name for name in modules if importlib.util.find_spec(name)],
    "tools": [name for name in tools if shutil.which(name)],
    "packages": [f"{package.name}=={package.version}" for package in distributions()],
    "user": [os.getuid(), os.getgid()],
    "environment": dict(os.environ),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def inside(engine: Engine, image: str) -> dict[str, object]:
    return dict(json.loads(engine.run("run", *CONFINED, "--entrypoint", "python", image, "-c", SURVEY)))


def test_it_is_smaller_than_500_megabytes(engine: Engine, image: str, measured: list[str]) -> None:
    size = int(engine.inspect(image, "{{.Size}}"))
    measured.append(f"image {size / 1e6:.0f} MB")

    assert size < 500e6


def test_it_has_no_tool_to_install_build_or_train(inside: dict[str, object]) -> None:
    assert inside["modules"] == ["service", "psycopg"]
    assert inside["tools"] == []


def test_every_package_has_its_pinned_version(inside: dict[str, object], root: Path) -> None:
    pinned = {_normal(line) for line in (root / "constraints.txt").read_text().splitlines() if "==" in line}
    packages = {_normal(package) for package in _strings(inside["packages"])}

    assert {package for package in packages - pinned if not package.startswith("agcnn-triage==")} == set()


def test_it_runs_as_an_unprivileged_user(inside: dict[str, object]) -> None:
    assert inside["user"] == [10001, 10001]


def test_the_telemetry_of_onnx_runtime_is_off(inside: dict[str, object]) -> None:
    environment = inside["environment"]

    assert isinstance(environment, dict)
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"


def test_its_labels_have_the_version_and_the_licence(engine: Engine, image: str, root: Path) -> None:
    labels = json.loads(engine.inspect(image, "{{json .Config.Labels}}"))
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]

    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert {"title", "description", "revision", "source"} <= {name.rpartition(".")[2] for name in labels}


def test_check_passes_without_a_network_and_on_a_read_only_disk(engine: Engine, image: str) -> None:
    output = engine.run("run", *CONFINED, image, "check")

    assert all(f"{part}: sound" in output for part in ("configuration", "artefact", "provider", "storage"))


def _normal(requirement: str) -> str:
    return requirement.lower().replace("_", "-").replace(".", "-")


def _strings(values: object) -> list[str]:
    assert isinstance(values, list)
    return values


def test_in_a_pod_it_migrates_and_stops_without_an_init_process(engine: Engine, image: str) -> None:
    """Kubernetes runs it as process 1, which the kernel ends by no signal that it does not handle."""
    assert engine.run("run", *CONFINED, image, "migrate").startswith("the database is at revision ")
    container = engine.run("run", "--detach", *CONFINED[1:], image)
    try:
        deadline = time.monotonic() + 300
        while '"event": "ready"' not in engine.try_run("logs", container).stderr:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        engine.run("stop", "-t", "60", container)  # by default it would be killed after 10 s
        assert engine.inspect(container, "{{.State.ExitCode}}") == "0"
    finally:
        engine.run("rm", "--force", "--volumes", container)


def test_variables_of_a_kubernetes_service_keep_it_from_starting(engine: Engine, image: str) -> None:
    """Hence `enableServiceLinks: false` in deploy/kubernetes."""
    refused = engine.try_run("run", *CONFINED, "-e", "TRIAGE_SERVICE_HOST=10.0.0.1", image)

    assert refused.returncode == 2
    assert "TRIAGE_SERVICE_HOST" in refused.stderr

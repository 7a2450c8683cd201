import json
import tomllib
from pathlib import Path

import pytest

from tests.docker.deployment import Engine

pytestmark = pytest.mark.docker

CONFINED = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "-v", "/data")
LOOK = """
import importlib.util, json, os, shutil, sys
from importlib.metadata import distributions
modules = ("pip", "ensurepip", "setuptools", "torch", "torchvision", "cv2", "model", "training", "service", "psycopg")
tools = ("cc", "c++", "gcc", "g++", "clang", "tcc", "make", "ld", "as", "rustc", "pip", "pip3", "uv", "agcnn")
json.dump({
    "modules": [name for name in modules if importlib.util.find_spec(name)],
    "tools": [name for name in tools if shutil.which(name)],
    "packages": [f"{one.name}=={one.version}" for one in distributions()],
    "user": [os.getuid(), os.getgid()],
    "environment": dict(os.environ),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def inside(engine: Engine, image: str) -> dict[str, object]:
    return dict(json.loads(engine.run("run", *CONFINED, "--entrypoint", "python", image, "-c", LOOK)))


def test_it_is_small(engine: Engine, image: str, measured: list[str]) -> None:
    size = int(engine.inspect(image, "{{.Size}}"))
    measured.append(f"image {size / 1e6:.0f} MB")

    assert size < 500e6


def test_there_is_nothing_to_install_build_or_train_with(inside: dict[str, object]) -> None:
    assert inside["modules"] == ["service", "psycopg"]
    assert inside["tools"] == []


def test_every_package_is_the_pinned_one(inside: dict[str, object], root: Path) -> None:
    pinned = {_normal(line) for line in (root / "constraints.txt").read_text().splitlines() if "==" in line}
    packages = {_normal(package) for package in _strings(inside["packages"])}

    assert {package for package in packages - pinned if not package.startswith("agcnn-triage==")} == set()


def test_it_runs_as_nobody_in_particular(inside: dict[str, object]) -> None:
    assert inside["user"] == [10001, 10001]


def test_onnx_runtime_reports_to_nobody(inside: dict[str, object]) -> None:
    environment = inside["environment"]

    assert isinstance(environment, dict)
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"


def test_it_says_what_it_is(engine: Engine, image: str, root: Path) -> None:
    labels = json.loads(engine.inspect(image, "{{json .Config.Labels}}"))
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]

    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert {"title", "description", "revision", "source"} <= {name.rpartition(".")[2] for name in labels}


def test_it_is_sound_without_a_network_and_on_a_read_only_disk(engine: Engine, image: str) -> None:
    said = engine.run("run", *CONFINED, image, "check")

    assert all(f"{part}: sound" in said for part in ("configuration", "artefact", "provider", "storage"))


def _normal(requirement: str) -> str:
    return requirement.lower().replace("_", "-").replace(".", "-")


def _strings(values: object) -> list[str]:
    assert isinstance(values, list)
    return values

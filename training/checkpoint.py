"""What a run leaves: weights as safetensors, and beside them a JSON document that can rebuild the network."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from model.agcnn import Agcnn, AgcnnConfig
from model.branch import load_trunk
from model.squeezenet import read_trunk
from training.errors import TrainingError

WEIGHTS = "network.safetensors"
DOCUMENT = "run.json"
SOURCES = ("model", "training", "service/dicom")  # what a network's weights and pixels depend on


def save(run: Path, network: Agcnn, document: Mapping[str, Any]) -> None:
    """Write weights and document (configuration, data, history) of a finished run."""
    save_weights(run / WEIGHTS, network)
    write_json(run / DOCUMENT, {"network": asdict(network.config), "commit": commit(), **document})


def load(run: Path) -> tuple[Agcnn, dict[str, Any]]:
    """Rebuild a finished run's network, and read its document.

    Raises
    ------
    TrainingError
        The folder holds no finished run.
    """
    document = read_json(run / DOCUMENT)
    network = Agcnn(AgcnnConfig(**document["network"]))
    load_weights(run / WEIGHTS, network)
    return network.eval(), document


def initialise(network: Agcnn, path: Path) -> None:
    """Begin from other weights: a published trunk (.npz), or a run's network (.safetensors).

    Raises
    ------
    TrainingError
        The file cannot be read, or its weights are of another backbone.
    """
    if path.suffix != ".npz":
        return load_weights(path, network)
    try:
        trunk = read_trunk(path)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise TrainingError(f"{path}: not readable as a published trunk") from error
    unmatched = load_trunk(network.global_branch, trunk)
    if wrong := [name for name in unmatched if not name.startswith("classifier.")]:
        raise TrainingError(f"{path}: {len(wrong)} weights do not fit the backbone, first: {wrong[0]}")
    return None


def save_weights(path: Path, module: nn.Module) -> None:
    """Write a state dict, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_file(state, temporary)
    temporary.replace(path)


def load_weights(path: Path, module: nn.Module) -> None:
    """Read a state dict written by `save_weights`."""
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path}: not readable as safetensors") from error
    except RuntimeError as error:
        raise TrainingError(f"{path}: weights of another network") from error


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what an interrupted run goes on from, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    torch.save(dict(state), temporary)
    temporary.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Read what `save_state` wrote; None where there is nothing."""
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def write_json(path: Path, document: Any) -> None:
    """Write JSON for people too: indented, NaN refused, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of a run's documents."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: no finished run, or not readable") from error
    return document


def plain(document: Any) -> Any:
    """As JSON would give it back: tuples as lists, paths as text."""
    return json.loads(json.dumps(document, default=str))


def commit(root: Path = Path(__file__).parents[1]) -> str:
    """The repository's commit, 40 hex digits; `unknown` outside a repository or where the sources differ from it."""
    try:
        changed = git(root, "status", "--porcelain", "--", *SOURCES)
        return "unknown" if changed else git(root, "rev-parse", "--verify", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def git(root: Path, *arguments: str) -> str:
    """What git says."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

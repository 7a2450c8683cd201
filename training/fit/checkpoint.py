"""The files of a run: weights as safetensors, and a JSON document from which the network can be rebuilt."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.agcnn import Agcnn, AgcnnConfig
from model.labels import LABELS
from model.squeezenet import read_trunk
from training.errors import TrainingError
from training.fit.artefact_weights import SUFFIX, read_artefact

WEIGHTS = "network.safetensors"
DOCUMENT = "run.json"
PICKLED = (".pth", ".pt", ".tar")
NESTED = ("state_dict", "model_state_dict", "model")  # names of the state dict among other things in a file
COUNTER = "num_batches_tracked"  # step counter of a batch norm, which is not a weight
SOURCES = ("model", "training", "service/dicom")  # sources that weights and pixels depend on


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


def read_state(path: Path) -> dict[str, Tensor]:
    """Read weights, name to tensor `[...]`, from any of the published formats.

    Parameters
    ----------
    path
        `.npz` of SqueezeNet; `.onnx` of an artefact, whose batch norms are folded; `.safetensors`; or a file of
        `torch.save` as `.pth`, `.pt` or `.pth.tar`: a state dict, or a dictionary with one under a name of `NESTED`.
        Code in the file is not run.

    Raises
    ------
    TrainingError
        The suffix is another one, the file cannot be read, or it contains no weights.
    """
    if path.suffix not in (".npz", ".safetensors", SUFFIX, *PICKLED):
        raise TrainingError(f"{path}: weights must be .onnx, .npz, .safetensors, .pth, .pt or .pth.tar")
    if path.suffix == SUFFIX:
        return read_artefact(path)[0]
    try:
        if path.suffix == ".npz":
            return read_trunk(path)
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many kinds of exception on foreign files
        raise TrainingError(f"{path}: not readable as weights") from error
    if isinstance(content, Mapping):
        content = next((content[name] for name in NESTED if isinstance(content.get(name), Mapping)), content)
    items = content.items() if isinstance(content, Mapping) else ()
    state = {name: value for name, value in items if isinstance(name, str) and isinstance(value, Tensor)}
    if not state:
        raise TrainingError(f"{path}: contains no weights by name")
    return state


def save_weights(path: Path, module: nn.Module) -> None:
    """Write a state dict atomically."""
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
    """Write atomically the state from which an interrupted run is resumed."""
    temporary = path.with_suffix(".tmp")
    torch.save(dict(state), temporary)
    temporary.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Read a state written by `save_state`; None if there is none."""
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def write_json(path: Path, document: Any) -> None:
    """Write indented JSON atomically; NaN is refused."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of a run's documents."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: not a finished run, or not readable") from error
    return document


def labels_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of a run from its document; those of ChestX-ray14 in runs of older versions."""
    return tuple(document.get("labels", LABELS))


def plain(document: Any) -> Any:
    """Return a document as it is read back from JSON: tuples as lists, paths as text."""
    return json.loads(json.dumps(document, default=str))


def commit(root: Path = Path(__file__).parents[2]) -> str:
    """Return the repository's commit, 40 hex digits; `unknown` outside a repository or with uncommitted sources."""
    try:
        changed = git(root, "status", "--porcelain", "--", *SOURCES)
        return "unknown" if changed else git(root, "rev-parse", "--verify", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def git(root: Path, *arguments: str) -> str:
    """Run git and return its output."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

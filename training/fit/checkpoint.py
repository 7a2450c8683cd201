"""What a run leaves: weights as safetensors, and beside them a JSON document that can rebuild the network."""

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
from model.branch import load_trunk
from model.squeezenet import read_trunk
from training.errors import TrainingError

WEIGHTS = "network.safetensors"
DOCUMENT = "run.json"
PICKLED = (".pth", ".pt", ".tar")
COUNTER = "num_batches_tracked"  # of a batch norm: no weight
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


def initialise(network: Agcnn, path: Path) -> list[str]:
    """Begin from other weights: those of a run's network, or a published trunk, which goes into the global branch.

    What a trunk leaves of the network stays as it is, the local branch too: how that begins is its stage's affair.

    Parameters
    ----------
    network
        Changed in place.
    path
        As `read_state`.

    Returns
    -------
    list of str
        Names that did not match, sorted: in the file and not in the network, the other way round, or of another shape.

    Raises
    ------
    TrainingError
        The file cannot be read, or fewer than half of the global branch's tensors are in it.
    """
    state = read_state(path)
    whole = any(name.startswith("global_branch.") for name in state)
    try:
        unmatched = load_network(network, state) if whole else load_trunk(network.global_branch, state)
    except KeyError as error:
        raise TrainingError(f"{path}: the first convolution has three channels, and there is no {error}") from error
    prefix = "global_branch.features." if whole else "features."
    wanted = [name for name in network.global_branch.features.state_dict() if not name.endswith(COUNTER)]
    missing = sorted({prefix + name for name in wanted}.intersection(unmatched))
    if 2 * len(missing) > len(wanted):
        lacking = f"{len(missing)} of the {len(wanted)} weights of {network.config.backbone}"
        raise TrainingError(f"{path}: lacks {lacking}, first: {', '.join(missing[:3])}")
    return unmatched


def load_network(network: Agcnn, state: Mapping[str, Tensor]) -> list[str]:
    """Load what fits of another network's state, in place; gives the names that did not match, as `initialise`."""
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    network.load_state_dict({**own, **fitting})
    return sorted(name for name in (own.keys() | state.keys()) - fitting.keys() if not name.endswith(COUNTER))


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the names and values of weights, whatever form they are published in.

    Parameters
    ----------
    path
        `.npz`, SqueezeNet's; `.safetensors`; or what `torch.save` wrote as `.pth`, `.pt` or `.pth.tar`: a state dict,
        or a dictionary with one as `state_dict`. No code in it is run.

    Raises
    ------
    TrainingError
        Another suffix, not readable, or no weights in it.
    """
    if path.suffix not in (".npz", ".safetensors", *PICKLED):
        raise TrainingError(f"{path}: weights must be .npz, .safetensors, .pth, .pt or .pth.tar")
    try:
        if path.suffix == ".npz":
            return read_trunk(path)
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise whatever a file of somebody else's made them meet
        raise TrainingError(f"{path}: not readable as weights") from error
    if isinstance(found, Mapping):
        found = found.get("state_dict", found)
    named = found.items() if isinstance(found, Mapping) else ()
    state = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    if not state:
        raise TrainingError(f"{path}: holds no weights by name")
    return state


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


def commit(root: Path = Path(__file__).parents[2]) -> str:
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

"""Starting weights from an artefact, whose batch norms are folded into the convolutions before them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from model.agcnn import Agcnn
from service.artefact.file import ENTRY
from training.errors import TrainingError
from training.fit.served_weights import norms_after_convolutions

SUFFIX = ".onnx"
NETWORK = "network."  # the exporter's prefix of the network's parameters
STORED = ".stored"  # its suffix for those stored as float16
BRANCHES = ("global_branch", "local_branch")
MEASURED = 64  # images whose statistics the batch norms get; a few batches, as one would be too noisy


def read_artefact(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the parameters of an artefact's network, name to tensor `[...]` float32, and its card.

    Raises
    ------
    TrainingError
        The file is not an artefact.
    """
    try:
        model = onnx.load_from_string(path.read_bytes())
        card = json.loads(next(entry.value for entry in model.metadata_props if entry.key == ENTRY))
    except Exception as error:  # protobuf's errors have no common base class
        raise TrainingError(f"{path}: not a readable artefact") from error
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    return {
        name.removeprefix(NETWORK).removesuffix(STORED): torch.from_numpy(array.astype(np.float32))
        for name, array in arrays.items()
        if name.startswith(NETWORK)
    }, card


def trunks(network: Agcnn) -> dict[str, nn.Module]:
    """Return the feature extractor of each branch that the network has; without a second look there is one."""
    branches = dict(network.named_children())
    return {name: branches[name].get_submodule("features") for name in BRANCHES if name in branches}


def unfold_batch_norms(network: Agcnn, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state for a network with batch norms from one whose batch norms were folded.

    Each batch norm passes the convolution's output on unchanged, but for the offset that folding left as a bias.

    Parameters
    ----------
    state
        Name to tensor `[...]`.
    """
    result = dict(state)
    for branch, trunk in trunks(network).items():
        for convolution, name in norms_after_convolutions(trunk):
            bias = result.pop(f"{branch}.features.{convolution}.bias", None)
            norm = trunk.get_submodule(name)
            if bias is not None and isinstance(norm, nn.BatchNorm2d):
                ones = torch.ones_like(bias)
                values = {"weight": ones * (1 + norm.eps) ** 0.5, "bias": bias, "running_mean": 0 * ones}
                values["running_var"] = ones
                result |= {f"{branch}.features.{name}.{part}": value for part, value in values.items()}
    return result


def require_whole_parts(network: Agcnn, state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse an artefact in which a part of the network is incomplete; a part may be missing as a whole.

    The exporter stores equal tensors once, under one of their names, as happens in untrained networks.

    Raises
    ------
    TrainingError
        A tensor of a part is missing.
    """
    parts = {name.partition(".")[0] for name in state}
    own = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    missing = [name for name in own if name not in state and name.partition(".")[0] in parts]
    if missing:
        raise TrainingError(f"{path}: lacks {len(missing)} of the network's {len(own)} tensors, first: {missing[0]}")


@torch.no_grad()
def measure_batch_norms(network: Agcnn, canvases: Tensor) -> None:
    """Give the batch norms after convolutions the statistics of some images, in place.

    The outputs in evaluation mode stay the same. Without this, the first batch of training would change them, as it is
    normalised by its own statistics.

    Parameters
    ----------
    canvases
        `[B, 1, S, S] float32 in [0, 1]`.
    """
    norms = [
        trunk.get_submodule(name) for trunk in trunks(network).values() for _, name in norms_after_convolutions(trunk)
    ]
    hooks = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    training = network.training
    network.eval()(canvases)
    network.train(training)
    for hook in hooks:
        hook.remove()


def _take_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    """Replace a batch norm's statistics by those of its input `[B, C, h, w]`, without a change of its output."""
    variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
    if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
        slope = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_((mean - norm.running_mean) * slope)
        norm.weight.copy_(slope * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

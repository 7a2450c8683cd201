"""Folding: batch norms into the convolutions before them, then weights to what float16 can hold."""

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.agcnn import Agcnn

# Below this many elements a tensor stays float32: it weighs nothing in the file.
LARGE = 1024


def folded(network: Agcnn) -> Agcnn:
    """Copy a network with its batch norms folded: in evaluation mode, on the processor, otherwise equal."""
    network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for branch in (network.global_branch, network.local_branch):
        fold_batch_norms(branch.features)
    return network


def as_served(network: Agcnn) -> Agcnn:
    """Copy a network as the artefact holds it: batch norms folded, large weights rounded.

    Rounding moves boxes by up to a canvas pixel, and with them what the local branch sees, so what is calibrated and
    evaluated for the card is this copy. Export gives the same file for the copy as for the network.

    Raises
    ------
    OverflowError
        As `round_weights`.
    """
    network = folded(network)
    round_weights(network)
    return network


def fold_batch_norms(trunk: nn.Module) -> int:
    """Fold, in place, every batch norm that directly follows a convolution; gives how many.

    One that stands before its convolution (`norm1`, `norm`, `norm5` of a DenseNet) has a ReLU in between and stays; so
    does one that follows self-attention.

    Parameters
    ----------
    trunk
        In evaluation mode.
    """
    pairs = _pairs(trunk)
    for before, after in pairs:
        convolution, norm = trunk.get_submodule(before), trunk.get_submodule(after)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            trunk.set_submodule(before, fuse_conv_bn_eval(convolution, norm))
            trunk.set_submodule(after, nn.Identity())
    return len(pairs)


def round_weights(network: nn.Module) -> None:
    """Round, in place, every large parameter to the nearest float16, kept as float32.

    Raises
    ------
    OverflowError
        A weight is beyond float16's range, or not finite; names the parameter.
    """
    for name, parameter in network.named_parameters():
        if is_large(parameter):
            rounded = parameter.detach().half().float()
            if not rounded.isfinite().all():
                raise OverflowError(f"{name} has a weight beyond float16's range")
            parameter.data.copy_(rounded)


def is_large(tensor: Tensor) -> bool:
    """Whether a tensor is worth storing as float16."""
    return tensor.dtype == torch.float32 and tensor.numel() >= LARGE


class _Tracer(fx.Tracer):
    """Looks into no module without a batch norm: there is nothing to fold, and its way may depend on the map's size."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        holds = any(isinstance(part, nn.BatchNorm2d) for part in m.modules())
        return not holds or super().is_leaf_module(m, module_qualified_name)


def _pairs(trunk: nn.Module) -> list[tuple[str, str]]:
    """Names of each convolution and the batch norm that alone takes its output."""
    kinds = {name: type(module) for name, module in trunk.named_modules()}
    calls = [node for node in _Tracer().trace(trunk).nodes if node.op == "call_module"]
    norms = [node for node in calls if kinds[node.target] is nn.BatchNorm2d]
    return [
        (norm.args[0].target, norm.target)
        for norm in norms
        if norm.args[0] in calls and kinds[norm.args[0].target] is nn.Conv2d and len(norm.args[0].users) == 1
    ]

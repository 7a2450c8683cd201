"""The weights as served: batch norms folded into the convolutions before them, large weights rounded to float16."""

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.agcnn import Agcnn

LARGE = 1024  # elements; smaller tensors stay float32, as they hardly add to the size of the file


def folded(network: Agcnn) -> Agcnn:
    """Copy a network with its batch norms folded, to the processor, in evaluation mode."""
    network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for branch in network.branches:
        fold_batch_norms(branch.features)
    return network


def as_served(network: Agcnn) -> Agcnn:
    """Copy a network as the artefact holds it: batch norms folded, large weights rounded.

    Rounding moves boxes by up to a canvas pixel and so changes the crop of the local branch. Therefore this copy is
    calibrated and evaluated for the card. Export writes the same file for the copy as for the network.

    Raises
    ------
    OverflowError
        A weight is out of float16's range (see `round_weights`).
    """
    network = folded(network)
    round_weights(network)
    return network


def fold_batch_norms(trunk: nn.Module) -> int:
    """Fold, in place, every batch norm that directly follows a convolution; returns their number.

    Batch norms before a convolution (`norm1`, `norm`, `norm5` of a DenseNet) are followed by a ReLU and stay; so do
    those after self-attention.

    Parameters
    ----------
    trunk
        Layers of a branch in evaluation mode.
    """
    pairs = norms_after_convolutions(trunk)
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
        A weight is out of float16's range or not finite; the message names the parameter.
    """
    for name, parameter in network.named_parameters():
        if is_large(parameter):
            rounded = parameter.detach().half().float()
            if not rounded.isfinite().all():
                raise OverflowError(f"{name} has a weight beyond float16's range")
            parameter.data.copy_(rounded)


def is_large(tensor: Tensor) -> bool:
    """Return whether a tensor of any shape `[...]` is large enough to be stored as float16."""
    return tensor.dtype == torch.float32 and tensor.numel() >= LARGE


class _Tracer(fx.Tracer):
    """Trace only modules with a batch norm; others need no folding, and may branch on the size of the map."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        holds = any(isinstance(part, nn.BatchNorm2d) for part in m.modules())
        return not holds or super().is_leaf_module(m, module_qualified_name)


def norms_after_convolutions(trunk: nn.Module) -> list[tuple[str, str]]:
    """Return the names of each convolution and of the batch norm that is the only user of its output."""
    kinds = {name: type(module) for name, module in trunk.named_modules()}
    calls = [node for node in _Tracer().trace(trunk).nodes if node.op == "call_module"]
    norms = [node for node in calls if kinds[node.target] is nn.BatchNorm2d]
    return [
        (norm.args[0].target, norm.target)
        for norm in norms
        if norm.args[0] in calls and kinds[norm.args[0].target] is nn.Conv2d and len(norm.args[0].users) == 1
    ]

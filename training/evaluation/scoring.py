"""A network's logits on many images, the work dealt out to the processes of a run."""

from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from training.data.cache import Canvases
from training.data.sample import Floats
from training.evaluation.metrics import aurocs, macro

BATCH = 32  # the same whatever the number of processes, so that the logits are the same too


@torch.no_grad()
def logits(fabric: Fabric, forward: Callable[[Tensor], Tensor], canvases: Canvases) -> Floats:
    """What every process gets to know: [N, K] float32, of K labels of the data.

    Parameters
    ----------
    forward
        [B, 1, S, S] to logits [B, K or more]; in evaluation mode.
    """
    found = torch.zeros(canvases.targets.shape, device=fabric.device)
    chunks = np.split(np.arange(len(canvases)), range(BATCH, len(canvases), BATCH))
    for chunk in chunks[fabric.global_rank :: fabric.world_size]:
        with fabric.autocast():
            given = forward(canvases.batch(chunk)[0].to(fabric.device))
        found[chunk] = given.float()[:, : found.shape[1]]  # no score counts No Finding
    scores: Floats = reduced(fabric, found, "sum").cpu().numpy()  # every row is of one process, 0 with the others
    return scores


def reduced(fabric: Fabric, tensor: Tensor, operation: Literal["sum", "mean"]) -> Tensor:
    """The sum or mean over all processes; the tensor may be changed."""
    return cast(Tensor, fabric.all_reduce(tensor, reduce_op=operation))  # of a tensor, a tensor


def macro_auroc(scores: Floats, targets: Floats) -> float | None:
    """Mean AUROC over the labels for which it is defined; None where there are none."""
    value = float(macro(aurocs(scores, targets)[0]))
    return None if np.isnan(value) else value

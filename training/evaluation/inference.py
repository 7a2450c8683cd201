"""Logits of a network on many images, computed by all processes of a run together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from training.data.cache import Canvases
from training.data.sample import Floats
from training.evaluation.metrics import aurocs, macro

BATCH = 32  # independent of the number of processes, so that the logits are too


@contextmanager
def full_float32() -> Iterator[None]:
    """Forbid NVIDIA's TF32, which rounds factors to 10 bits and is on for convolutions by default.

    Predictions that are calibrated or evaluated must equal those that are served.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = False, False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@torch.no_grad()
def logits(fabric: Fabric, forward: Callable[[Tensor], Tensor], canvases: Canvases) -> Floats:
    """Compute the logits of all images; every process returns all of them.

    Parameters
    ----------
    forward
        Function from `[B, 1, S, S]` to logits `[B, K or more]`, in evaluation mode.

    Returns
    -------
    ndarray
        `[N, K] float32`, K labels of the data.
    """
    scores = torch.zeros(canvases.targets.shape, device=fabric.device)
    chunks = np.split(np.arange(len(canvases)), range(BATCH, len(canvases), BATCH))
    for chunk in chunks[fabric.global_rank :: fabric.world_size]:
        with fabric.autocast():
            output = forward(canvases.batch(chunk)[0].to(fabric.device))
        scores[chunk] = output.float()[:, : scores.shape[1]]  # without No Finding, which is not scored
    # Each row was computed by one process and is 0 in the others.
    summed: Floats = all_reduce(fabric, scores, "sum").cpu().numpy()
    return summed


def all_reduce(fabric: Fabric, tensor: Tensor, operation: Literal["sum", "mean"]) -> Tensor:
    """Return the sum or mean over all processes, of the tensor's shape `[...]`; the tensor may be changed."""
    return cast(Tensor, fabric.all_reduce(tensor, reduce_op=operation))  # a tensor for a tensor


def macro_auroc(scores: Floats, targets: Floats) -> float | None:
    """Mean AUROC of scores and targets `[N, K]` over the labels for which it is defined; None if there are none."""
    value = float(macro(aurocs(scores, targets)[0]))
    return None if np.isnan(value) else value

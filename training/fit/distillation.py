"""What finished runs say of the training images, as targets for another."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from training.data.cache import Canvases
from training.data.sample import Floats
from training.errors import TrainingError
from training.evaluation.scoring import logits
from training.fit import checkpoint
from training.fit.stages import global_logits


def distilled(fabric: Fabric, canvases: Canvases, teachers: Sequence[Path], share: float) -> Canvases:
    """The same images with a share of the teachers' word in their targets.

    Raises
    ------
    TrainingError
        No teacher, one that is not finished, or one whose input does not divide the canvas.
    """
    if not teachers:
        raise TrainingError("distil: wanted at least one --teacher")
    mean = np.mean([opinion(fabric, canvases, teacher) for teacher in teachers], 0)
    targets = mixed(canvases.targets, 1 / (1 + np.exp(-mean)), share)
    cases = zip(canvases.cases, targets.tolist(), strict=True)
    return replace(canvases, cases=tuple(replace(case, findings=tuple(row)) for case, row in cases))


def opinion(fabric: Fabric, canvases: Canvases, teacher: Path) -> Floats:
    """Logits [N, K] of a run's global branch on the canvases as they are."""
    network, _ = checkpoint.load(teacher)
    size = network.config.input_size
    if canvases.size % size:
        raise TrainingError(f"{teacher}: its input of {size} does not divide a canvas of {canvases.size}")
    network.to(fabric.device)
    return logits(fabric, partial(global_logits, network), canvases)


def mixed(labels: Floats, soft: Floats, share: float) -> Floats:
    """A share of the teachers' probabilities, the rest the labels', [N, K]; what is unknown is the teachers' alone."""
    return np.where(np.isnan(labels), soft, share * soft + (1 - share) * labels).astype(np.float32)

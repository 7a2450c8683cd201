"""Distillation: the probabilities of finished runs (teachers) as targets for another run."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from training.data.cache import Canvases
from training.data.sample import Floats
from training.errors import TrainingError
from training.evaluation.inference import logits
from training.fit import checkpoint
from training.fit.stages import global_logits


def distil_targets(fabric: Fabric, canvases: Canvases, teachers: Sequence[Path], share: float) -> Canvases:
    """Return the same images with targets that are mixed with the teachers' mean probabilities.

    Parameters
    ----------
    share
        Weight of the teachers in [0, 1].

    Raises
    ------
    TrainingError
        There is no teacher, one is not a finished run, or the canvas is not a multiple of its input.
    """
    if not teachers:
        raise TrainingError("distil: expected at least one --teacher")
    mean = np.mean([teacher_logits(fabric, canvases, teacher) for teacher in teachers], 0)
    targets = mix_targets(canvases.targets, 1 / (1 + np.exp(-mean)), share)
    cases = zip(canvases.cases, targets.tolist(), strict=True)
    return replace(canvases, cases=tuple(replace(case, findings=tuple(row)) for case, row in cases))


def teacher_logits(fabric: Fabric, canvases: Canvases, teacher: Path) -> Floats:
    """Compute the logits `[N, K] float32` of a run's global branch on the canvases without augmentation."""
    network, _ = checkpoint.load(teacher)
    size = network.config.input_size
    if canvases.size % size:
        raise TrainingError(f"{teacher}: the canvas size {canvases.size} is not a multiple of its input size {size}")
    network.to(fabric.device)
    return logits(fabric, partial(global_logits, network), canvases)


def mix_targets(labels: Floats, soft: Floats, share: float) -> Floats:
    """Mix labels and the teachers' probabilities, `[N, K]` each; an unknown label (NaN) takes the teachers' alone."""
    return np.where(np.isnan(labels), soft, share * soft + (1 - share) * labels).astype(np.float32)

"""Distillation: the probabilities of finished runs (teachers) as targets for another run."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from scipy.special import expit

from training.data.cache import Canvases
from training.data.sample import Floats
from training.errors import TrainingError
from training.evaluation.inference import logits
from training.fit import checkpoint
from training.fit.stages import global_logits


def distil_targets(fabric: Fabric, canvases: Canvases, teachers: Sequence[Path], share: float) -> Canvases:
    """Return the same images with targets that are mixed with the teachers' mean probabilities.

    Teachers are matched by label: a label that none of them has keeps its target.

    Parameters
    ----------
    share
        Weight of the teachers in [0, 1].

    Raises
    ------
    TrainingError
        There is no teacher, one is not a finished run or has none of the labels, or the canvas is not a multiple of its
        input.
    """
    if not teachers:
        raise TrainingError("distil: expected at least one --teacher")
    mean = known_mean(np.stack([teacher_logits(fabric, canvases, teacher) for teacher in teachers]))
    targets = mix_targets(canvases.targets, expit(mean), share)
    cases = zip(canvases.cases, targets.tolist(), strict=True)
    return replace(canvases, cases=tuple(replace(case, findings=tuple(row)) for case, row in cases))


def teacher_logits(fabric: Fabric, canvases: Canvases, teacher: Path) -> Floats:
    """Compute the logits `[N, K] float32` of a run's global branch on the canvases without augmentation.

    They are in the order of the canvases' labels; NaN for labels that the run does not have.
    """
    network, document = checkpoint.load(teacher)
    labels = checkpoint.labels_of(document)
    if not set(labels) & set(canvases.labels):
        raise TrainingError(f"{teacher}: has none of the labels {', '.join(canvases.labels)}")
    size = network.config.input_size
    if canvases.size % size:
        raise TrainingError(f"{teacher}: the canvas size {canvases.size} is not a multiple of its input size {size}")
    network.to(fabric.device)
    columns = logits(fabric, partial(global_logits, network), canvases)
    aligned = np.full((len(canvases), len(canvases.labels)), np.nan, np.float32)
    for column, label in enumerate(canvases.labels):
        if label in labels:
            aligned[:, column] = columns[:, labels.index(label)]
    return aligned


def known_mean(values: Floats) -> Floats:
    """Return the mean `[N, K]` over the teachers of values `[T, N, K]` that are not NaN; NaN where all are."""
    count = (~np.isnan(values)).sum(0)
    total = np.nansum(values, 0)
    mean: Floats = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean


def mix_targets(labels: Floats, soft: Floats, share: float) -> Floats:
    """Mix labels and the teachers' probabilities, `[N, K]` each; where one is unknown (NaN), take the other alone."""
    mixed = np.where(np.isnan(labels), soft, share * soft + (1 - share) * labels)
    return np.where(np.isnan(soft), labels, mixed).astype(np.float32)

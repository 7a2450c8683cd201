"""Predictions as a CSV table, one row per image, for other programs; `agcnn evaluate --compare` can read it back."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.evaluation.comparison import PREFIX
from training.evaluation.metrics import Numbers
from training.evaluation.predictions import BRANCHES, Predictions

DIGITS = 9  # significant digits, enough for every float32


def write(path: Path, predicted: Predictions, probabilities: Numbers) -> None:
    """Write image, patient and collection, and for each label its target and every branch's logit and probability.

    The columns of the fusion branch are `logit_LABEL` and `prob_LABEL`; those of the others begin with the name of the
    branch, as in `global_prob_LABEL`. A cell is blank where the value is unknown.

    Parameters
    ----------
    probabilities
        `[3, N, K] float64 in [0, 1]`, calibrated, in the order of the branches.
    """
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", "patient", "collection", *columns(predicted.labels)])
        writer.writerows(rows(predicted, probabilities))
    temporary.replace(path)


def columns(labels: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the columns of numbers, label by label."""
    for label in labels:
        yield f"target_{label}"
        for branch in BRANCHES:
            before = "" if branch == BRANCHES[0] else f"{branch}_"
            yield from (f"{before}logit_{label}", f"{before}{PREFIX}{label}")


def rows(predicted: Predictions, probabilities: Numbers) -> Iterator[list[str]]:
    """Yield the cells of each image."""
    pairs = np.stack([predicted.logits, probabilities], -1).transpose(1, 2, 0, 3)  # [N, K, 3, 2]
    numbers = np.concatenate([predicted.targets[:, :, None], pairs.reshape(*pairs.shape[:2], -1)], 2)  # [N, K, 7]
    for case, values in zip(predicted.cases, numbers.reshape(len(predicted), -1), strict=True):
        cells = ["" if np.isnan(value) else f"{value:.{DIGITS}g}" for value in values.tolist()]
        yield [case.image, case.patient, case.collection, *cells]

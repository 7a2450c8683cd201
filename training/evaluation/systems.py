"""Comparison of systems on the same test images: each trained from one or more seeds, paired by patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.errors import TrainingError
from training.evaluation.bootstrap import entry
from training.evaluation.calibration import MIN_POSITIVES
from training.evaluation.metrics import CURVE_SCORES, Numbers
from training.evaluation.predictions import BRANCHES, Predictions
from training.evaluation.scores import Part, Reading, resampled_scores

MACRO = "macro"
AUROC = {"auroc": CURVE_SCORES["auroc"]}

Row = dict[str, Any]


@dataclass(frozen=True)
class System:
    """Runs of one configuration, which differ in their seed.

    Attributes
    ----------
    predictions
        Predictions of each run on the test list.
    """

    name: str
    predictions: tuple[Predictions, ...]


@dataclass(frozen=True)
class Comparison:
    """AUROC of several systems, the first being the baseline.

    Attributes
    ----------
    images, patients
        Numbers of images and patients of the test list.
    positives
        Label to its number of positives.
    averaged
        Labels of the macro average: the same for every system, seed and resample.
    rows
        For each system and label, and for `macro`: `value`, the mean over seeds, with `interval`; `seeds`, the value of
        each seed; and `difference`, value and interval of the system minus the baseline, None for the baseline.
    """

    images: int
    patients: int
    positives: dict[str, int]
    averaged: tuple[str, ...]
    rows: tuple[Row, ...]


def compare(systems: Sequence[System], branch: str, collection: str = "") -> Comparison:
    """Compare systems by the AUROC of one branch, on the same resamples of the patients.

    The interval is that of the mean over a system's seeds, with the seeds fixed: it has the variation of patients only.

    Raises
    ------
    TrainingError
        Two runs were not scored on the same images with the same labels, or no image is in the collection.
    """
    first = systems[0].predictions[0]
    aligned = [tuple(align(each, first) for each in system.predictions) for system in systems]
    chosen = np.arange(len(first))
    if collection:
        chosen = np.flatnonzero([case.collection == collection for case in first.cases])
        if not len(chosen):
            raise TrainingError(f"no test image is of collection {collection}")
    part = Part("test", first.subset(chosen), ())
    samples = [np.stack([aurocs(part, each.subset(chosen), branch) for each in runs]) for runs in aligned]
    counts = [(part.predictions.targets == value).sum(0) for value in (1, 0)]
    enough = np.minimum(*counts) >= MIN_POSITIVES
    columns = {MACRO: np.flatnonzero(enough)} | {label: np.array([k]) for k, label in enumerate(first.labels)}
    rows = [
        {"system": system.name, "label": label, **row(whole[..., k], samples[0][..., k] if place else None)}
        for place, (system, whole) in enumerate(zip(systems, samples, strict=True))
        for label, k in columns.items()
    ]
    return Comparison(
        len(chosen),
        len(set(part.predictions.patients)),
        dict(zip(first.labels, counts[0].tolist(), strict=True)),
        tuple(first.labels[k] for k in columns[MACRO]),
        tuple(rows),
    )


def align(predicted: Predictions, first: Predictions) -> Predictions:
    """Return predictions in the order of the images of `first`.

    Raises
    ------
    TrainingError
        They are of other images, or of other labels.
    """
    rows = {case.image: row for row, case in enumerate(predicted.cases)}
    names = [case.image for case in first.cases]
    if rows.keys() != set(names):
        shared = len(rows.keys() & set(names))
        raise TrainingError(
            f"scored on other test images: {len(rows)} and {len(names)}, of which {shared} are the same"
        )
    ordered = predicted.subset(np.array([rows[name] for name in names], np.int64))
    if ordered.labels != first.labels or not np.array_equal(ordered.targets, first.targets, equal_nan=True):
        raise TrainingError("scored against other labels of the same test images")
    return ordered


def aurocs(part: Part, predicted: Predictions, branch: str) -> Numbers:
    """Return the AUROC of every label on every resample of the part: `[1 + R, K]`."""
    reading = Reading(branch, predicted.logits[BRANCHES.index(branch)])
    return resampled_scores(part, reading, AUROC)["auroc"]


def row(values: Numbers, baseline: Numbers | None) -> Row:
    """Return mean, seeds and difference of samples `[S, 1 + R, k]`, averaged over k labels; the baseline's alike."""
    if not values.shape[-1]:
        return {"value": None, "interval": None, "seeds": [], "difference": None}
    means = values.mean(-1)  # [S, 1 + R]; NaN where a label is undefined
    seeds = [] if np.isnan(means[:, 0]).any() else means[:, 0].tolist()
    difference = None if baseline is None else entry(means.mean(0) - baseline.mean(-1).mean(0))
    return {**entry(means.mean(0)), "seeds": seeds, "difference": difference}

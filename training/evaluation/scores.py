"""Every score of a reading, with its interval: rows of `metrics.json`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import Resamples, entry, resamples
from training.evaluation.calibration import MIN_POSITIVES
from training.evaluation.metrics import (
    CURVE_SCORES,
    PROBABILITY_SCORES,
    Curve,
    Numbers,
    curve,
    macro,
    ranking,
    select_known,
)
from training.evaluation.predictions import Predictions

Row = dict[str, Any]
UNCALIBRATED = "_uncalibrated"
THRESHOLD_SCORES = ("sensitivity", "specificity")  # with fewer than ten positives they go in steps of a tenth and more


@dataclass(frozen=True)
class Reading:
    """Scores that one branch, or another model, gave a set of images.

    Attributes
    ----------
    name
        `fusion`, `global`, `local`, or the name of another model.
    scores
        `[N, K]`, higher for more likely.
    probabilities
        Suffix of a score's name to `[N, K] in [0, 1]`: "" for calibrated, "_uncalibrated" for uncalibrated.
    """

    name: str
    scores: Numbers
    probabilities: Mapping[str, Numbers] = field(default_factory=dict)

    def subset(self, indices: NDArray[np.int64]) -> "Reading":
        """Return the reading of the images at these indices `[n]`."""
        probabilities = {suffix: values[indices] for suffix, values in self.probabilities.items()}
        return Reading(self.name, self.scores[indices], probabilities)


@dataclass(frozen=True)
class Part:
    """A set of images that are scored together, and all readings of them; `split` is its name in the documents."""

    split: str
    predictions: Predictions
    readings: tuple[Reading, ...]

    def subset(self, split: str, indices: NDArray[np.int64]) -> "Part":
        """Return the part with the images at these indices `[n]`, under another name."""
        return Part(
            split, self.predictions.subset(indices), tuple(reading.subset(indices) for reading in self.readings)
        )

    @cached_property
    def resamples(self) -> Resamples:
        """Resamples of the part's patients."""
        return resamples(self.predictions.patients)


Resampled = dict[str, Numbers]  # name of a score to [1 + R, K], the first resample being the images as they are


def resampled_scores(
    part: Part, reading: Reading, curve_scores: Mapping[str, Callable[[Curve], Numbers]] = CURVE_SCORES
) -> Resampled:
    """Compute every score of every label on every resample of the patients: name to `[1 + R, K]`."""
    truth = part.predictions.targets
    names = [*curve_scores, *(name + suffix for suffix in reading.probabilities for name in PROBABILITY_SCORES)]

    labels = range(len(part.predictions.labels))
    known = ~np.isnan(truth.T)
    rankings = [ranking(*select_known(reading.scores, truth, label)) for label in labels]
    likely = [
        [ranking(*select_known(values, truth, label)) for values in reading.probabilities.values()] for label in labels
    ]

    def of_label(weights: Numbers, label: int) -> list[Numbers]:
        """Return every score `[B]` of a label under weights `[B, N]`."""
        weights = weights if known[label].all() else weights[:, known[label]]
        counts = curve(rankings[label], weights)
        return [
            *(measure(counts) for measure in curve_scores.values()),
            *(measure(ranked, weights) for ranked in likely[label] for measure in PROBABILITY_SCORES.values()),
        ]

    def of_all(weights: Numbers) -> Numbers:
        """Return all scores `[B, scores, K]` under weights `[B, N]`."""
        return np.array([of_label(weights, label) for label in labels]).transpose(2, 1, 0)

    samples = dict(zip(names, part.resamples.evaluate(of_all).transpose(1, 0, 2), strict=True))
    few = np.nansum(truth, 0) < MIN_POSITIVES
    for name in samples:
        if name.startswith(THRESHOLD_SCORES):
            samples[name] = np.where(few, np.nan, samples[name])
    return samples


def score_rows(part: Part, reading: Reading, samples: Resampled) -> list[Row]:
    """Return a row for each score of each label, and of the macro average; its row names the labels averaged."""
    positives = np.nansum(part.predictions.targets, 0).astype(int)
    about = {"split": part.split, "images": len(part.predictions), "branch": reading.name}
    columns = {label: column for column, label in enumerate(part.predictions.labels)}
    return [
        {"name": name, **about, **row, "positives": int(positives[[columns[label] for label in labels]].sum())}
        for name, values in samples.items()
        for row, labels in with_macro(values, part.predictions.labels)
    ]


def differences(part: Part, pair: tuple[str, str], samples: Mapping[str, Resampled]) -> list[Row]:
    """Return rows of the difference in AUROC, first reading minus second, on the same resamples."""
    about = {"name": "auroc", "split": part.split, "branch": pair[0], "against": pair[1]}
    values = samples[pair[0]]["auroc"] - samples[pair[1]]["auroc"]
    return [{**about, **row} for row, _ in with_macro(values, part.predictions.labels)]


def with_macro(values: Numbers, labels: Sequence[str]) -> Iterator[tuple[Row, Sequence[str]]]:
    """Yield, from samples `[1 + R, K]`, fields and labels of a row: for each label and, last, for the mean."""
    for label, column in zip(labels, values.T, strict=True):
        yield {"label": label, **entry(column)}, (label,)
    defined = ~np.isnan(values[0])
    averaged = [label for label, is_defined in zip(labels, defined, strict=True) if is_defined]
    yield {"label": "macro", **entry(macro(values[:, defined])), "labels": averaged}, averaged

"""Every score of what was read from some images, with its interval: rows of `metrics.json`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.labels import LABELS
from training.evaluation.bootstrap import Resamples, entry, resamples
from training.evaluation.calibration import ENOUGH
from training.evaluation.metrics import OF_CURVE, OF_PROBABILITY, Curve, Numbers, curve, known, macro, ranking
from training.evaluation.predictions import Predictions

Row = dict[str, Any]
UNCALIBRATED = "_uncalibrated"
NEED_ENOUGH = ("sensitivity", "specificity")  # with fewer than ten positives they go in steps of a tenth and more


@dataclass(frozen=True)
class Reading:
    """What one branch, or another model, said of some images.

    Attributes
    ----------
    name
        `fusion`, `global`, `local`, or another model's.
    scores
        [N, K], the higher the likelier.
    probabilities
        Suffix of a score's name to [N, K] in [0, 1]: "" calibrated, "_uncalibrated" not.
    """

    name: str
    scores: Numbers
    probabilities: Mapping[str, Numbers] = field(default_factory=dict)

    def subset(self, indices: NDArray[np.int64]) -> "Reading":
        """Of these images only."""
        probabilities = {suffix: values[indices] for suffix, values in self.probabilities.items()}
        return Reading(self.name, self.scores[indices], probabilities)


@dataclass(frozen=True)
class Part:
    """Images that are scored together, under the name the documents give them, and all that was read from them."""

    split: str
    predictions: Predictions
    readings: tuple[Reading, ...]

    def subset(self, split: str, indices: NDArray[np.int64]) -> "Part":
        """Only these images."""
        return Part(
            split, self.predictions.subset(indices), tuple(reading.subset(indices) for reading in self.readings)
        )

    @cached_property
    def resamples(self) -> Resamples:
        """Of its patients."""
        return resamples(self.predictions.patients)


Drawn = dict[str, Numbers]  # name of a score to [1 + R, K], the first resample being the images as they are


def drawn(part: Part, reading: Reading, of_curve: Mapping[str, Callable[[Curve], Numbers]] = OF_CURVE) -> Drawn:
    """Every score of every label on every resample of the patients."""
    truth = part.predictions.targets
    names = [*of_curve, *(name + suffix for suffix in reading.probabilities for name in OF_PROBABILITY)]

    labels = range(len(LABELS))
    there = ~np.isnan(truth.T)
    rankings = [ranking(*known(reading.scores, truth, label)) for label in labels]
    likely = [[ranking(*known(values, truth, label)) for values in reading.probabilities.values()] for label in labels]

    def of_label(weights: Numbers, label: int) -> list[Numbers]:
        weights = weights if there[label].all() else weights[:, there[label]]
        followed = curve(rankings[label], weights)
        return [
            *(measure(followed) for measure in of_curve.values()),
            *(measure(ranked, weights) for ranked in likely[label] for measure in OF_PROBABILITY.values()),
        ]

    def of_all(weights: Numbers) -> Numbers:
        return np.array([of_label(weights, label) for label in labels]).transpose(2, 1, 0)  # [B, scores, K]

    found = dict(zip(names, part.resamples.drawn(of_all).transpose(1, 0, 2), strict=True))
    few = np.nansum(truth, 0) < ENOUGH
    for name in found:
        if name.startswith(NEED_ENOUGH):
            found[name] = np.where(few, np.nan, found[name])
    return found


def rows(part: Part, reading: Reading, found: Drawn) -> list[Row]:
    """Each score of each label, and of the macro average over the labels it is defined for, which the row names."""
    positives = np.nansum(part.predictions.targets, 0).astype(int)
    about = {"split": part.split, "images": len(part.predictions), "branch": reading.name}
    return [
        {"name": name, **about, **row, "positives": int(positives[[LABELS.index(one) for one in over]].sum())}
        for name, values in found.items()
        for row, over in with_macro(values)
    ]


def differences(part: Part, pair: tuple[str, str], found: Mapping[str, Drawn]) -> list[Row]:
    """AUROC of the first reading minus the second's, on the same resamples."""
    about = {"name": "auroc", "split": part.split, "branch": pair[0], "against": pair[1]}
    values = found[pair[0]]["auroc"] - found[pair[1]]["auroc"]
    return [{**about, **row} for row, _ in with_macro(values)]


def with_macro(values: Numbers) -> Iterator[tuple[Row, Sequence[str]]]:
    """From [1 + R, K], what a row says of every label and, last, of their mean; each with the labels it is over."""
    for label, column in zip(LABELS, values.T, strict=True):
        yield {"label": label, **entry(column)}, (label,)
    defined = ~np.isnan(values[0])
    over = [label for label, there in zip(LABELS, defined, strict=True) if there]
    yield {"label": "macro", **entry(macro(values[:, defined])), "labels": over}, over

"""Every score of a reading, with its interval: rows of `metrics.json`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import Resamples, entry, evaluate_all, resamples
from training.evaluation.calibration import MIN_POSITIVES
from training.evaluation.label_scores import LabelScores
from training.evaluation.metrics import CURVE_SCORES, CurveScore, Flags, Numbers, select_known
from training.evaluation.predictions import BRANCHES, Predictions

Row = dict[str, Any]
UNCALIBRATED = "_uncalibrated"
SQUARED, ECE = "calibration_error", "ece"
# With fewer than ten positives a sensitivity goes in steps of a tenth and more, and a slope has no useful interval.
SCORES_OF_ENOUGH = ("sensitivity", "specificity", "calibration_slope", "calibration_intercept")


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
        """Resamples of the part's patients, within each fold."""
        folds = self.predictions.folds
        return resamples(self.predictions.patients, folds=None if folds is None else folds.tolist())


Resampled = dict[str, Numbers]  # name of a score to [1 + R, K], the first resample being the images as they are


def resampled_scores(part: Part, reading: Reading, curve_scores: Mapping[str, CurveScore] = CURVE_SCORES) -> Resampled:
    """Compute every score of every label on every resample of the patients: name to `[1 + R, K]`."""
    return resample([(part, reading)], curve_scores)[0]


def resample(
    readings: Sequence[tuple[Part, Reading]], curve_scores: Mapping[str, CurveScore] = CURVE_SCORES
) -> list[Resampled]:
    """Compute every score of several readings, in processes if there is much to do; see `resampled_scores`."""
    measures = [
        [label_scores(part, reading, label, curve_scores) for label in range(len(part.predictions.labels))]
        for part, reading in readings
    ]
    tasks = [
        (known_resamples(part, label), measure)
        for (part, _), of_reading in zip(readings, measures, strict=True)
        for label, measure in enumerate(of_reading)
    ]
    arrays = iter(evaluate_all(tasks))
    return [
        named(part, of_reading, [next(arrays) for _ in of_reading])
        for (part, _), of_reading in zip(readings, measures, strict=True)
    ]


def label_scores(part: Part, reading: Reading, label: int, curve_scores: Mapping[str, CurveScore]) -> LabelScores:
    """Select what is needed to score one label of a reading."""
    truth = part.predictions.targets
    known = np.flatnonzero(~np.isnan(truth[:, label]))
    scores, positive = select_known(reading.scores, truth, label)
    likely = {suffix: select_known(values, truth, label)[0] for suffix, values in reading.probabilities.items()}
    folds = None if reading.name not in BRANCHES else part.predictions.folds
    return LabelScores(
        scores, positive, likely, part.resamples.owner[known], None if folds is None else folds[known], curve_scores
    )


def named(part: Part, measures: Sequence[LabelScores], arrays: Sequence[Numbers]) -> Resampled:
    """Name the scores `[1 + R, scores]` of each label; a score of too few images is NaN.

    The interval of `calibration_error` is the basic bootstrap's: a resample scatters about the images as an estimate
    does about the true value, so that its distance from the biased error of the images is subtracted from the value.
    The customary ECE has a value and no resamples, as no such centre is known for it.
    """
    samples = dict(zip(measures[0].names, np.stack(arrays, 2).transpose(1, 0, 2), strict=True))
    for suffix in measures[0].probabilities:
        centres = np.array([measure.biased_errors()[suffix] for measure in measures])
        errors = samples[SQUARED + suffix]
        samples[SQUARED + suffix] = np.concatenate([errors[:1], errors[:1] + centres - errors[1:]])
        samples[ECE + suffix] = np.array([[measure.customary_errors()[suffix] for measure in measures]])
    for name in samples:
        if name.startswith(SCORES_OF_ENOUGH):
            samples[name] = np.where(enough(part), samples[name], np.nan)
    return samples


def enough(part: Part) -> Flags:
    """Return which labels have at least ten positives and ten negatives: `[K] bool`."""
    truth = part.predictions.targets
    return np.asarray(np.minimum((truth == 1).sum(0), (truth == 0).sum(0)) >= MIN_POSITIVES)


def known_resamples(part: Part, label: int) -> Resamples:
    """Return the resamples of the part's patients for the images whose label is known."""
    return replace(part.resamples, owner=part.resamples.owner[~np.isnan(part.predictions.targets[:, label])])


def score_rows(part: Part, reading: Reading, samples: Resampled) -> list[Row]:
    """Return a row for each score of each label, and of the macro average; its row names the labels averaged."""
    names = part.predictions.labels
    positives = np.nansum(part.predictions.targets, 0).astype(int)
    about = {"split": part.split, "images": len(part.predictions), "branch": reading.name}
    return [
        {"name": name, **about, **row, "positives": int(positives[[names.index(label) for label in labels]].sum())}
        for name, values in samples.items()
        for row, labels in with_macro(part, values, root if name.startswith(SQUARED) else np.asarray)
    ]


def differences(part: Part, pair: tuple[str, str], samples: Mapping[str, Resampled]) -> list[Row]:
    """Return rows of the difference in AUROC, first reading minus second, on the same resamples."""
    about = {"name": "auroc", "split": part.split, "branch": pair[0], "against": pair[1]}
    values = samples[pair[0]]["auroc"] - samples[pair[1]]["auroc"]
    return [{**about, **row} for row, _ in with_macro(part, values)]


def with_macro(
    part: Part, values: Numbers, finish: Callable[[Numbers], Numbers] = np.asarray
) -> Iterator[tuple[Row, Sequence[str]]]:
    """Yield, from samples `[1 + R, K]`, fields and labels of a row: for each label and, last, for the mean.

    The mean is over the same labels in the value and in every resample: those with enough positives and negatives. A
    resample without a value for one of them is left out of the interval; `resamples` is the number of the others.

    Parameters
    ----------
    finish
        Function from a label's samples, or those of the mean, `[1 + R]` to those of the row.
    """
    names, chosen = part.predictions.labels, enough(part)
    for label, column in zip(names, values.T, strict=True):
        yield {"label": label, **entry(finish(column))}, (label,)
    labels = [label for label, is_chosen in zip(names, chosen, strict=True) if is_chosen]
    means = values[:, chosen].mean(1) if labels else np.full(len(values), np.nan)
    used = int((~np.isnan(means[1:])).sum())
    yield {"label": "macro", **entry(finish(means)), "labels": labels, "resamples": used}, labels


def root(squared: Numbers) -> Numbers:
    """Square root of samples `[1 + R]`, of which those below 0 count as 0."""
    return np.sqrt(np.maximum(squared, 0))

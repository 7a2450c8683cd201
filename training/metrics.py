"""Scores: AUROC with ties, intervals by resampling patients, exact binomial intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Numbers = NDArray[np.floating]
Interval = tuple[float, float]

RESAMPLES = 1000
BLOCK = 100  # resamples weighed at a time
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval, NaN where it is not defined, and how many positives it rests on."""

    value: float
    interval: Interval
    positives: int


def auroc(scores: Numbers, positive: NDArray[np.bool_], weights: Numbers | None = None) -> Numbers:
    """Area under the ROC curve: the chance that a positive outscores a negative, a tie counting half.

    Parameters
    ----------
    scores
        [N], not NaN.
    positive
        [N].
    weights
        [R, N], how often each image counts in each of R resamples; once, in one, by default.

    Returns
    -------
    [R] in [0, 1]; NaN where a resample has no positive or no negative.
    """
    weights = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of the groups of equal scores
    if not len(starts):
        return np.full(len(weights), np.nan)
    sorted_weights = weights[:, order]
    gains = np.add.reduceat(sorted_weights * positive[order], starts, 1)  # [R, groups]
    losses = np.add.reduceat(sorted_weights * ~positive[order], starts, 1)
    below = np.cumsum(losses, 1) - losses / 2
    pairs = gains.sum(1) * losses.sum(1)
    return quotient((gains * below).sum(1), pairs)


def aurocs(scores: Numbers, targets: Numbers, weights: Numbers | None = None) -> Numbers:
    """AUROC of every label: scores and targets [N, K], NaN targets left out, to [R, K]."""
    columns = []
    for score, target in zip(scores.T, targets.T, strict=True):
        known = ~np.isnan(target)
        columns.append(auroc(score[known], target[known] == 1, None if weights is None else weights[:, known]))
    return np.stack(columns, 1)


def macro(values: Numbers) -> Numbers:
    """Mean over the labels that are defined, of [..., K]; NaN where none is."""
    count = (~np.isnan(values)).sum(-1)
    return quotient(np.nansum(values, -1), count)


def quotient(above: Numbers, below: Numbers) -> Numbers:
    """Element by element; NaN over 0."""
    found: Numbers = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return found


def resamples(patients: Sequence[str], count: int = RESAMPLES, seed: int = 0) -> Numbers:
    """Patients drawn with replacement: [R, N], how often each image comes with its patient."""
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    generator = np.random.default_rng(seed)
    return generator.multinomial(len(names), np.full(len(names), 1 / len(names)), count)[:, owner].astype(np.float64)


def score_labels(scores: Numbers, targets: Numbers, patients: Sequence[str]) -> list[Score]:
    """AUROC of each label and, last, of their macro average, with patient-bootstrap intervals.

    The macro average of a resample is over the labels defined in it.
    """
    drawn = bootstrap(scores, targets, patients)  # [R, K]
    values = aurocs(scores, targets)[0]
    positives = [*np.nansum(targets, 0).astype(int).tolist(), int(np.nansum(targets))]
    columns = np.concatenate([drawn, macro(drawn)[:, None]], 1).T
    return [
        Score(float(value), percentiles(column), count)
        for value, column, count in zip([*values, macro(values)], columns, positives, strict=True)
    ]


def bootstrap(scores: Numbers, targets: Numbers, patients: Sequence[str]) -> Numbers:
    """AUROC of every label in every resample of the patients: [R, K]."""
    weights = resamples(patients)
    blocks = [aurocs(scores, targets, weights[start : start + BLOCK]) for start in range(0, len(weights), BLOCK)]
    return np.concatenate(blocks)


def percentiles(values: Numbers) -> Interval:
    """The middle 95 % of what is defined; NaN where nothing is."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return (np.nan, np.nan)
    low, high = np.percentile(defined, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)


def clopper_pearson(hits: int, trials: int) -> Interval:
    """Exact 95 % interval of a proportion; (0, 1) of no trials."""
    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, hits, trials - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(1 - tail, hits + 1, trials - hits) if hits < trials else 1.0
    return float(low), float(high)

"""Scores of one finding, each on every resample of the images at once: weights in, one value per resample out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Numbers = NDArray[np.floating]
Flags = NDArray[np.bool_]
Interval = tuple[float, float]

CONFIDENCE = 0.95
BINS = 15  # of the calibration error, as is customary
FIXED = (0.90, 0.95)  # specificities and sensitivities at which the other is read


@dataclass(frozen=True)
class Ranking:
    """Images from the highest score down, sorted once for all resamples.

    Attributes
    ----------
    order
        [N] the images' places.
    scores, positive
        [N] in that order.
    ends
        [G] the last place of every group of equal scores.
    """

    order: NDArray[np.int64]
    scores: Numbers
    positive: Flags
    ends: NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """What lies at or above each distinct score, from the highest score down, in each of R resamples.

    Attributes
    ----------
    hits, alarms
        [R, G] weight of the positives and of the negatives there; both rise along G.
    """

    hits: Numbers
    alarms: Numbers

    @cached_property
    def positives(self) -> Numbers:
        """[R] weight of all positives."""
        return last(self.hits)

    @cached_property
    def negatives(self) -> Numbers:
        """[R] weight of all negatives."""
        return last(self.alarms)


def ranking(scores: Numbers, positive: Flags) -> Ranking:
    """Sort scores [N], not NaN, with the truth [N]."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(falling)])
    return Ranking(order, falling, positive[order], ends)


def curve(ranked: Ranking, weights: Numbers) -> Curve:
    """Follow the threshold down the scores; weights [R, N] say how often each image counts in each resample."""
    ordered = weights[:, ranked.order]
    return Curve(totals(ordered * ranked.positive, ranked.ends), totals(ordered * ~ranked.positive, ranked.ends))


def totals(values: Numbers, ends: NDArray[np.int64]) -> Numbers:
    """Running sums of [R, N] up to each end: [R, G]."""
    sums: Numbers = np.cumsum(values, 1)
    return sums if len(ends) == values.shape[1] else sums[:, ends]


def auroc(of: Curve) -> Numbers:
    """Area under the ROC curve: the chance that a positive outscores a negative, a tie counting half.

    Returns
    -------
    [R] in [0, 1]; NaN where a resample has no positive or no negative.
    """
    losses = np.diff(of.alarms, axis=1, prepend=0)
    above = of.hits - np.diff(of.hits, axis=1, prepend=0) / 2
    return quotient((above * losses).sum(1), of.positives * of.negatives)


def average_precision(of: Curve) -> Numbers:
    """Area under the precision–recall curve, in steps: precision at each distinct score, by the recall it gains.

    Returns
    -------
    [R] in [0, 1]; NaN without a positive.
    """
    gains = np.diff(of.hits, axis=1, prepend=0)
    precision = np.nan_to_num(quotient(of.hits, of.hits + of.alarms))
    return quotient((gains * precision).sum(1), of.positives)


def prevalence(of: Curve) -> Numbers:
    """Share of positives, [R]; NaN of nothing."""
    return quotient(of.positives, of.positives + of.negatives)


def sensitivity_at(of: Curve, specificity: float) -> Numbers:
    """Highest sensitivity of a threshold that keeps this specificity on the same images, [R].

    A property of the curve, for comparing curves. It is not what a threshold fixed before comes to on new images: see
    `training.evaluation.calibration.operating_points` for that.
    """
    allowed = (1 - specificity) * of.negatives[:, None] + 1e-9  # so that 1 of 10 is a tenth
    kept = at_place(of.hits, (of.alarms <= allowed).sum(1) - 1)  # the lowest such threshold
    return quotient(kept, np.where(of.negatives > 0, of.positives, 0))


def specificity_at(of: Curve, sensitivity: float) -> Numbers:
    """Highest specificity of a threshold that keeps this sensitivity on the same images, [R].

    A property of the curve, as `sensitivity_at`.
    """
    wanted = sensitivity * of.positives[:, None] - 1e-9
    passed = of.negatives - at_place(of.alarms, (of.hits < wanted).sum(1))  # of the highest such threshold
    return quotient(passed, np.where(of.positives > 0, of.negatives, 0))


OF_CURVE: Mapping[str, Callable[[Curve], Numbers]] = {
    "auroc": auroc,
    "auprc": average_precision,
    "prevalence": prevalence,
    **{f"sensitivity_at_specificity_{at:.2f}": partial(sensitivity_at, specificity=at) for at in FIXED},
    **{f"specificity_at_sensitivity_{at:.2f}": partial(specificity_at, sensitivity=at) for at in FIXED},
}


def brier(ranked: Ranking, weights: Numbers) -> Numbers:
    """Mean squared difference of probability and truth, weighed by [R, N]; [R] in [0, 1], NaN of nothing."""
    return quotient(weights[:, ranked.order] @ (ranked.scores - ranked.positive) ** 2, weights.sum(1))


def calibration_error(ranked: Ranking, weights: Numbers) -> Numbers:
    """Mean distance of probability and frequency in fifteen bins of equal mass (ECE), [R] in [0, 1].

    Every resample has bins of its own; equal probabilities share the bin in which the middle of their mass falls.
    """
    ordered = weights[:, ranked.order]
    sums = totals(ordered, ranked.ends)  # [R, groups]
    excess = np.diff(totals(ordered * (ranked.scores - ranked.positive), ranked.ends), axis=1, prepend=0)
    total = last(sums)
    twice = 2 * sums - np.diff(sums, axis=1, prepend=0)  # the middle of each group's mass; halves would round
    bins = np.minimum((twice * BINS / np.maximum(2 * total, 1)[:, None]).astype(np.int64), BINS - 1)
    cells = (bins + BINS * np.arange(len(weights))[:, None]).ravel()
    gaps = np.bincount(cells, excess.ravel(), BINS * len(weights)).reshape(-1, BINS)
    return quotient(np.abs(gaps).sum(1), total)


OF_PROBABILITY: Mapping[str, Callable[[Ranking, Numbers], Numbers]] = {
    "brier": brier,
    "ece": calibration_error,
}


def aurocs(scores: Numbers, targets: Numbers) -> Numbers:
    """AUROC of every label: scores and targets [N, K], NaN targets left out, to [1, K]."""
    rankings = [ranking(*known(scores, targets, label)) for label in range(scores.shape[1])]
    return np.stack([auroc(curve(ranked, np.ones((1, len(ranked.order))))) for ranked in rankings], 1)


def known(scores: Numbers, targets: Numbers, label: int) -> tuple[Numbers, Flags]:
    """(scores, positive) of the images whose label is known."""
    there = ~np.isnan(targets[:, label])
    return scores[there, label].astype(np.float64), targets[there, label] == 1


def macro(values: Numbers) -> Numbers:
    """Mean over the labels that are defined, of [..., K]; NaN where none is."""
    count = (~np.isnan(values)).sum(-1)
    return quotient(np.nansum(values, -1), count)


def quotient(above: Numbers, below: Numbers) -> Numbers:
    """Element by element; NaN over 0."""
    found: Numbers = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) > 0)
    return found


def last(rising: Numbers) -> Numbers:
    """The last column of [R, G]; 0 where there is none."""
    return rising[:, -1] if rising.shape[1] else np.zeros(len(rising))


def at_place(rising: Numbers, places: NDArray[np.int64]) -> Numbers:
    """[R], of every row of [R, G] the element at its place; 0 before the first, the last beyond it."""
    if not rising.shape[1]:
        return np.zeros(len(rising))
    found = rising[np.arange(len(rising)), np.clip(places, 0, rising.shape[1] - 1)]
    return np.where(places < 0, 0, found)


def clopper_pearson(hits: int, trials: int) -> Interval:
    """Exact 95 % interval of a proportion; (0, 1) of no trials."""
    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, hits, trials - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(1 - tail, hits + 1, trials - hits) if hits < trials else 1.0
    return float(low), float(high)

"""Scores of one finding, computed for all resamples of the images at once: weights in, one value per resample out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv  # scipy.stats, which has it too, takes a second to import

Numbers = NDArray[np.floating]
Flags = NDArray[np.bool_]
Interval = tuple[float, float]

CONFIDENCE = 0.95
FIXED = (0.90, 0.95)  # fixed specificities (sensitivities) at which the sensitivity (specificity) is read


@dataclass(frozen=True)
class Ranking:
    """Images sorted by falling score, once for all resamples.

    Attributes
    ----------
    order
        `[N] int64` index of each image.
    scores, positive
        `[N]` score and truth in that order.
    ends
        `[G] int64` last position of every group of equal scores.
    """

    order: NDArray[np.int64]
    scores: Numbers
    positive: Flags
    ends: NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """Cumulative counts at or above each distinct score, from the highest score down, in each of R resamples.

    Attributes
    ----------
    hits, alarms
        `[R, G]` weight of the positives and of the negatives; both rise along G.
    """

    hits: Numbers
    alarms: Numbers

    @cached_property
    def positives(self) -> Numbers:
        """`[R]` weight of all positives."""
        return last(self.hits)

    @cached_property
    def negatives(self) -> Numbers:
        """`[R]` weight of all negatives."""
        return last(self.alarms)

    @property
    def images(self) -> Numbers:
        """`[R]` weight of all images."""
        return self.positives + self.negatives

    @property
    def pairs(self) -> Numbers:
        """`[R]` weight of all pairs of a positive and a negative."""
        return self.positives * self.negatives


def ranking(scores: Numbers, positive: Flags) -> Ranking:
    """Sort scores `[N]`, without NaN, together with the truth `[N] bool`."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(falling)])
    return Ranking(order, falling, positive[order], ends)


def curve(ranked: Ranking, weights: Numbers) -> Curve:
    """Count hits and alarms for every threshold; weights `[R, N]` are how often each image counts in each resample."""
    ordered = weights[:, ranked.order]
    return Curve(totals(ordered * ranked.positive, ranked.ends), totals(ordered * ~ranked.positive, ranked.ends))


def totals(values: Numbers, ends: NDArray[np.int64]) -> Numbers:
    """Return the cumulative sums of `[R, N]` up to each end: `[R, G]`."""
    sums: Numbers = np.cumsum(values, 1)
    return sums if len(ends) == values.shape[1] else sums[:, ends]


def auroc(counts: Curve) -> Numbers:
    """Area under the ROC curve: the probability that a positive outscores a negative, a tie counting half.

    Returns
    -------
    ndarray
        `[R] in [0, 1]`; NaN where a resample has no positive or no negative.
    """
    losses = np.diff(counts.alarms, axis=1, prepend=0)
    above = counts.hits - np.diff(counts.hits, axis=1, prepend=0) / 2
    return quotient((above * losses).sum(1), counts.pairs)


def average_precision(counts: Curve) -> Numbers:
    """Area under the precision–recall curve: precision at each distinct score, weighted by the gain in recall.

    Returns
    -------
    ndarray
        `[R] in [0, 1]`; NaN without a positive.
    """
    gains = np.diff(counts.hits, axis=1, prepend=0)
    precision = np.nan_to_num(quotient(counts.hits, counts.hits + counts.alarms))
    return quotient((gains * precision).sum(1), counts.positives)


def prevalence(counts: Curve) -> Numbers:
    """Share of positives, `[R] in [0, 1]`; NaN without images."""
    return quotient(counts.positives, counts.images)


def sensitivity_at(counts: Curve, specificity: float) -> Numbers:
    """Highest sensitivity of a threshold that keeps this specificity on the same images, `[R] in [0, 1]`.

    It is a property of the curve, for comparing curves. For a threshold that was fixed before the images were seen,
    see `training.evaluation.operating_points`.
    """
    allowed = (1 - specificity) * counts.negatives[:, None] + 1e-9  # so that 1 of 10 is a tenth
    kept = elements_at(counts.hits, (counts.alarms <= allowed).sum(1) - 1)  # for the lowest such threshold
    return quotient(kept, np.where(counts.negatives > 0, counts.positives, 0))


def specificity_at(counts: Curve, sensitivity: float) -> Numbers:
    """Highest specificity of a threshold that keeps this sensitivity on the same images, `[R] in [0, 1]`.

    It is a property of the curve, as `sensitivity_at`.
    """
    needed = sensitivity * counts.positives[:, None] - 1e-9
    passed = counts.negatives - elements_at(
        counts.alarms, (counts.hits < needed).sum(1)
    )  # for the highest such threshold
    return quotient(passed, np.where(counts.positives > 0, counts.negatives, 0))


@dataclass(frozen=True)
class CurveScore:
    """A score of the curve, and the weight of each fold in its mean over folds, both from a curve to `[R]`."""

    value: Callable[[Curve], Numbers]
    weight: Callable[[Curve], Numbers]

    def __call__(self, curves: Sequence[Curve]) -> Numbers:
        """Mean over the curves of all folds, `[R]`; NaN where no fold has a value.

        Logits of different networks cannot be ranked together, so that a fold is scored by itself (Forman and Scholz,
        Apples-to-apples in cross-validation studies, SIGKDD Explorations 12, 2010). The weight of a fold is the number
        of cases over which the score is a mean; for AUROC, each pair of a positive and a negative in a fold is one.
        """
        if len(curves) == 1:
            return self.value(curves[0])
        values = np.stack([self.value(counts) for counts in curves])
        weights = np.where(np.isnan(values), 0, np.stack([self.weight(counts) for counts in curves]))
        return quotient((weights * np.nan_to_num(values)).sum(0), weights.sum(0))


CURVE_SCORES: Mapping[str, CurveScore] = {
    "auroc": CurveScore(auroc, attrgetter("pairs")),
    "auprc": CurveScore(average_precision, attrgetter("positives")),
    "prevalence": CurveScore(prevalence, attrgetter("images")),
    **{
        f"sensitivity_at_specificity_{at:.2f}": CurveScore(
            partial(sensitivity_at, specificity=at), attrgetter("positives")
        )
        for at in FIXED
    },
    **{
        f"specificity_at_sensitivity_{at:.2f}": CurveScore(
            partial(specificity_at, sensitivity=at), attrgetter("negatives")
        )
        for at in FIXED
    },
}


def brier(ranked: Ranking, weights: Numbers) -> Numbers:
    """Mean squared difference of probability and truth under weights `[R, N]`; `[R] in [0, 1]`, NaN without images."""
    return quotient((weights[:, ranked.order] * (ranked.scores - ranked.positive) ** 2).sum(1), weights.sum(1))


def aurocs(scores: Numbers, targets: Numbers) -> Numbers:
    """AUROC of every label: scores and targets `[N, K]`, without targets that are NaN, to `[1, K]`."""
    rankings = [ranking(*select_known(scores, targets, label)) for label in range(scores.shape[1])]
    return np.stack([auroc(curve(ranked, np.ones((1, len(ranked.order))))) for ranked in rankings], 1)


def select_known(scores: Numbers, targets: Numbers, label: int) -> tuple[Numbers, Flags]:
    """Select the images for which a label is known.

    Parameters
    ----------
    scores, targets
        `[N, K]`; targets are NaN where unknown.

    Returns
    -------
    scores, positive
        `[n] float64` and `[n] bool`.
    """
    known = ~np.isnan(targets[:, label])
    return scores[known, label].astype(np.float64), targets[known, label] == 1


def macro(values: Numbers) -> Numbers:
    """Mean of `[..., K]` over the labels that are not NaN: `[...]`; NaN where all are."""
    count = (~np.isnan(values)).sum(-1)
    return quotient(np.nansum(values, -1), count)


def quotient(above: Numbers, below: Numbers) -> Numbers:
    """Divide element by element, `[...]` by `[...]`; NaN where the divisor is 0."""
    ratio: Numbers = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) > 0)
    return ratio


def last(rising: Numbers) -> Numbers:
    """Return the last column `[R]` of `[R, G]`; 0 where there is none."""
    return rising[:, -1] if rising.shape[1] else np.zeros(len(rising))


def elements_at(rising: Numbers, places: NDArray[np.int64]) -> Numbers:
    """Return the element of each row of `[R, G]` at its place `[R]`; 0 before the first, else at most the last."""
    if not rising.shape[1]:
        return np.zeros(len(rising))
    elements = rising[np.arange(len(rising)), np.clip(places, 0, rising.shape[1] - 1)]
    return np.where(places < 0, 0, elements)


def clopper_pearson(hits: int, trials: int) -> Interval:
    """Exact 95 % interval of a proportion; (0, 1) without trials."""
    tail = (1 - CONFIDENCE) / 2
    low = betaincinv(hits, trials - hits + 1, tail) if hits > 0 else 0.0
    high = betaincinv(hits + 1, trials - hits, 1 - tail) if hits < trials else 1.0
    return float(low), float(high)

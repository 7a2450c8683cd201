"""The points of a report's curves: ROC, precision-recall and reliability of one finding."""

import numpy as np

from training.evaluation.metrics import Curve, Flags, Numbers, curve, ranking

MOST_POINTS = 400  # of a curve as drawn
MOST_BINS, LEAST_IMAGES = 15, 20  # of a reliability curve, and in each bin


def roc(scores: Numbers, positive: Flags) -> Numbers:
    """Share of the negatives and of the positives at or above each score: [n, 2], from (0, 0) to (1, 1).

    Both classes must be there.
    """
    of = whole(scores, positive)
    shares = np.stack([of.alarms[0] / of.negatives, of.hits[0] / of.positives], 1)
    return np.concatenate([np.zeros((1, 2)), shares])


def precision_recall(scores: Numbers, positive: Flags) -> Numbers:
    """Recall and precision at each score, the highest first: [n, 2]; a positive must be there."""
    of = whole(scores, positive)
    return np.stack([of.hits[0] / of.positives, of.hits[0] / (of.hits + of.alarms)[0]], 1)


def reliability(probabilities: Numbers, positive: Flags) -> Numbers:
    """Mean probability and share of positives in bins of (nearly) as many images each: [bins, 2]."""
    order = np.argsort(probabilities, kind="stable")
    bins = np.array_split(order, max(1, min(MOST_BINS, len(order) // LEAST_IMAGES)))
    return np.array([[probabilities[part].mean(), positive[part].mean()] for part in bins])


def stairs(points: Numbers) -> Numbers:
    """A precision-recall curve as average precision adds it up: each precision from the last recall to its own."""
    before = np.concatenate([[0.0], points[:-1, 0]])
    return np.stack([np.stack([before, points[:, 1]], 1), points], 1).reshape(-1, 2)


def thinned(points: Numbers) -> Numbers:
    """So few, evenly along the curve, that a file of many panels stays small; the first and the last stay."""
    if len(points) <= MOST_POINTS:
        return points
    along = np.concatenate([[0.0], np.abs(np.diff(points, axis=0)).sum(1).cumsum()])
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS)).clip(max=len(points) - 1))
    return np.asarray(points[np.union1d(kept, [0, len(points) - 1])])


def whole(scores: Numbers, positive: Flags) -> Curve:
    """Every image once: one row."""
    return curve(ranking(scores, positive), np.ones((1, len(scores))))

"""Points of the curves in the report: ROC, precision-recall and reliability of one finding."""

import numpy as np

from training.evaluation.metrics import Curve, Flags, Numbers, curve, ranking

MAX_POINTS = 400  # points of a drawn curve
MAX_BINS, MIN_IMAGES_PER_BIN = 15, 20  # bins of a reliability curve


def roc(scores: Numbers, positive: Flags) -> Numbers:
    """Return the shares of negatives and of positives at or above each score: `[n, 2]`, from (0, 0) to (1, 1).

    Scores and truth are `[N]` and must contain both classes.
    """
    counts = all_images(scores, positive)
    shares = np.stack([counts.alarms[0] / counts.negatives, counts.hits[0] / counts.positives], 1)
    return np.concatenate([np.zeros((1, 2)), shares])


def precision_recall(scores: Numbers, positive: Flags) -> Numbers:
    """Return recall and precision at each score, the highest first: `[n, 2]`.

    Scores and truth are `[N]` and must contain a positive.
    """
    counts = all_images(scores, positive)
    return np.stack([counts.hits[0] / counts.positives, counts.hits[0] / (counts.hits + counts.alarms)[0]], 1)


def reliability(probabilities: Numbers, positive: Flags) -> Numbers:
    """Return mean probability and share of positives in bins of (nearly) equal size: `[bins, 2]`, from `[N]` images."""
    order = np.argsort(probabilities, kind="stable")
    bins = np.array_split(order, max(1, min(MAX_BINS, len(order) // MIN_IMAGES_PER_BIN)))
    return np.array([[probabilities[part].mean(), positive[part].mean()] for part in bins])


def stairs(points: Numbers) -> Numbers:
    """Turn a precision-recall curve `[n, 2]` into steps `[2 n, 2]`, whose area is the average precision."""
    before = np.concatenate([[0.0], points[:-1, 0]])
    return np.stack([np.stack([before, points[:, 1]], 1), points], 1).reshape(-1, 2)


def thinned(points: Numbers) -> Numbers:
    """Reduce points `[n, 2]` to about 400, evenly along the curve and with both ends, to keep the report small."""
    if len(points) <= MAX_POINTS:
        return points
    along = np.concatenate([[0.0], np.abs(np.diff(points, axis=0)).sum(1).cumsum()])
    chosen = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MAX_POINTS)).clip(max=len(points) - 1))
    return np.asarray(points[np.union1d(chosen, [0, len(points) - 1])])


def all_images(scores: Numbers, positive: Flags) -> Curve:
    """Count hits and alarms of scores and truth `[N]`, every image once: one row."""
    return curve(ranking(scores, positive), np.ones((1, len(scores))))

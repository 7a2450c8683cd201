"""Operating points: thresholds fixed out of fold, before the test list is scored, or the reason why there is none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.artefact.card import OperatingPoint
from training.evaluation.calibration import MIN_POSITIVES, SPECIFICITY, Calibration, rates, threshold
from training.evaluation.metrics import Flags, Numbers
from training.evaluation.predictions import Predictions

Names = NDArray[np.str_]

# An alarm that ignores the image, and passes 95 % of the negatives, finds 5 % of the positives.
LEAST_SENSITIVITY = round(1 - SPECIFICITY, 10)


@dataclass(frozen=True)
class Choice:
    """The operating point of one label.

    Attributes
    ----------
    point
        None where there is none.
    reason
        Why there is none; empty where there is one.
    """

    label: str
    point: OperatingPoint | None
    reason: str = ""


@dataclass(frozen=True)
class Terms:
    """How operating points are chosen.

    Attributes
    ----------
    source
        Name of the data.
    collection
        Collection on whose negatives thresholds are fixed; empty for all images.
    least_sensitivity
        The lower end of the 95 % interval of the sensitivity must be above it, in [0, 1].
    """

    source: str
    collection: str = ""
    least_sensitivity: float = LEAST_SENSITIVITY


def choose(predicted: Predictions, calibration: Calibration, terms: Terms) -> list[Choice]:
    """Choose one operating point per label on the fusion branch.

    Parameters
    ----------
    predicted
        Out-of-fold predictions of all collections.
    """
    fusion = calibration.probabilities(predicted.logits)[0]
    collections = np.array([case.collection for case in predicted.cases], str)
    return [
        _choose(label, fusion[known, column], predicted.targets[known, column] == 1, collections[known], terms)
        for column, label in enumerate(predicted.labels)
        for known in [~np.isnan(predicted.targets[:, column])]
    ]


def _choose(label: str, scores: Numbers, positive: Flags, collections: Names, terms: Terms) -> Choice:
    """Choose from scores, truth and collection of the images, `[N]` each."""
    within = collections == terms.collection if terms.collection else np.ones(len(scores), bool)
    positives, negatives = int((positive & within).sum()), int((~positive & within).sum())
    where = f"collection {terms.collection}" if terms.collection else "the images"
    usable = np.isin(collections, _with_negatives(positive, collections))
    if negatives < MIN_POSITIVES:
        return Choice(label, None, f"{negatives} negatives in {where}, fewer than {MIN_POSITIVES}")
    if positives >= MIN_POSITIVES:
        source = terms.source + (f", {where}" if terms.collection else "")
        point = rates(scores[within], positive[within], threshold(scores[within & ~positive], scores[within]), source)
    elif terms.collection and positive[usable].sum() >= MIN_POSITIVES:
        source = f"{terms.source}, all collections ({where} has {positives} positives)"
        point = _pooled_point(scores[usable], positive[usable], collections[usable], source)
    else:
        return Choice(label, None, f"{int(positive[usable].sum())} positives, fewer than {MIN_POSITIVES}")
    low = point.sensitivity_interval[0]
    if low <= terms.least_sensitivity:
        found = f"sensitivity {point.sensitivity:.3f} ({point.positives} positives)"
        return Choice(label, None, f"{found}, its lower bound {low:.3f} not above {terms.least_sensitivity:g}")
    return Choice(label, point)


def _with_negatives(positive: Flags, collections: Names) -> list[str]:
    """Return the collections with at least ten negatives: each tests a threshold by itself."""
    names, counts = np.unique(collections[~positive], return_counts=True)
    return [str(name) for name in names[counts >= MIN_POSITIVES]]


def _pooled_point(scores: Numbers, positive: Flags, collections: Names, source: str) -> OperatingPoint:
    """Fix a point for a label that one collection has too seldom: sensitivity and specificity are those of all images.

    The threshold passes 95 % of the negatives of every collection, so that a network which merely tells the collections
    apart gains nothing: it would raise the negatives of a collection as it raises the positives. A prior in place of
    the missing positives was not taken: with so few of them, the prior would be the result.
    """
    cuts = [threshold(scores[~positive & (collections == name)], scores) for name in np.unique(collections)]
    return rates(scores, positive, max(cuts), source)

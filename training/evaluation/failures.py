"""The images that a network gets most wrong: negatives with the highest scores, positives with the lowest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import Numbers
from training.evaluation.predictions import Predictions

MOST = 3  # images of each kind for each finding
TOTAL = 96  # images of a report, which contains them as pictures; at least one of each kind is kept for each finding

Kind = Literal["negative", "positive"]


@dataclass(frozen=True)
class Failure:
    """One image that is listed for a finding.

    Attributes
    ----------
    kind
        What the image is labelled: `negative` for one with a high score, `positive` for one with a low score.
    image
        Name of the image.
    probability
        Calibrated probability of the fusion branch.
    """

    label: str
    kind: Kind
    image: str
    probability: float


def failures(predicted: Predictions, probabilities: Numbers) -> list[Failure]:
    """List, for each finding, the negatives with the highest and the positives with the lowest probability.

    A list contains a patient once. An image is listed whether or not a threshold calls it wrong: the highest negative
    of a perfect ranking is listed too.

    Parameters
    ----------
    probabilities
        `[N, K] float64 in [0, 1]`, calibrated, of the fusion branch.
    """
    most = max(1, min(MOST, TOTAL // (2 * len(predicted.labels))))
    return [
        Failure(label, kind, predicted.cases[row].image, float(probabilities[row, column]))
        for column, label in enumerate(predicted.labels)
        for kind, order in ranked(probabilities[:, column], predicted.targets[:, column])
        for row in first_of_patients(order, predicted.patients, most)
    ]


def ranked(scores: Numbers, truth: Numbers) -> Iterator[tuple[Kind, NDArray[np.int64]]]:
    """Yield the indices `[n]` of the negatives by falling score, and of the positives by rising score, from `[N]`."""
    falling = np.argsort(-scores, kind="stable")
    rising = np.argsort(scores, kind="stable")
    yield "negative", falling[truth[falling] == 0]
    yield "positive", rising[truth[rising] == 1]


def first_of_patients(order: NDArray[np.int64], patients: tuple[str, ...], most: int) -> list[int]:
    """Return the first indices of `[n]` that belong to different patients, at most `most`."""
    first: dict[str, int] = {}
    for row in order.tolist():
        if len(first) == most:
            break
        first.setdefault(patients[row], row)
    return list(first.values())

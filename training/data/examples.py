"""Examples of each label: whether a set of images can teach or test anything."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.sample import Floats
from training.errors import TrainingError


@dataclass(frozen=True)
class Examples:
    """Number of images for which a label is known to be present or absent; probabilities count as parts of an image."""

    present: float
    absent: float


def count_examples(targets: Floats, labels: Sequence[str]) -> dict[str, Examples]:
    """Count the examples of each label in targets `[N, K]`, NaN where unknown."""
    known = ~np.isnan(targets)
    present, absent = targets.sum(0, np.float64, where=known), (1 - targets).sum(0, np.float64, where=known)
    pairs = zip(labels, present.tolist(), absent.tolist(), strict=True)
    return {label: Examples(*pair) for label, *pair in pairs}


def sum_examples(parts: Iterable[dict[str, Examples]]) -> dict[str, Examples]:
    """Add the counts of several sets of images, which may have different labels."""
    total: dict[str, Examples] = {}
    for label, row in (item for part in parts for item in part.items()):
        before = total.get(label, Examples(0, 0))
        total[label] = Examples(before.present + row.present, before.absent + row.absent)
    return total


def require_examples(examples: dict[str, Examples], images: str) -> None:
    """Refuse images from which nothing can be learned or measured.

    Parameters
    ----------
    images
        Name of the images, for the message.

    Raises
    ------
    TrainingError
        No label is known for any image, or there is no label with both a positive and a negative image.
    """
    rows = examples.values()
    if not any(row.present or row.absent for row in rows):
        raise TrainingError(f"{images}: no label is known for any image; the columns of the findings are blank")
    if not any(row.present for row in rows):
        raise TrainingError(f"{images}: no image has a finding; expected at least one that is present (1)")
    if not any(row.present and row.absent for row in rows):
        raise TrainingError(f"{images}: no finding is present in one image and absent (0) in another")


def missing_lines(examples: dict[str, Examples], images: str) -> Iterator[str]:
    """Yield one line for the labels that are unknown in all images, and one for those that none is known to have."""
    unknown = [label for label, row in examples.items() if not (row.present or row.absent)]
    negative = [label for label, row in examples.items() if row.absent and not row.present]
    if unknown:
        yield f"warning: {images}: unknown in every image, so it is not trained: {', '.join(unknown)}"
    if negative:
        yield f"warning: {images}: present in no image, so it cannot be learned: {', '.join(negative)}"

"""Cases whose findings are put in the order of other labels, by name."""

from collections.abc import Sequence
from dataclasses import replace
from math import nan

from training.data.cache import Canvases
from training.data.sample import Case
from training.errors import TrainingError


def relabel(images: Canvases, labels: Sequence[str]) -> Canvases:
    """Return the same images with the findings of these labels; those that the images do not have are unknown.

    Raises
    ------
    TrainingError
        They have none of the labels.
    """
    if tuple(labels) == images.labels:
        return images
    if not set(labels) & set(images.labels):
        raise TrainingError(f"{images.name}: expected one of the labels {', '.join(labels)} at least")
    cases = tuple(relabel_case(case, images.labels, labels) for case in images.cases)
    return replace(images, cases=cases, labels=tuple(labels))


def relabel_case(case: Case, labels: Sequence[str], chosen: Sequence[str]) -> Case:
    """Return a case with the findings and boxes of the chosen labels; a label that is not among `labels` is NaN."""
    known = dict(zip(labels, case.findings, strict=True))
    boxes = {label: drawn for label, drawn in case.boxes.items() if label in chosen}
    return replace(case, findings=tuple(known.get(label, nan) for label in chosen), boxes=boxes)

"""Sensitivity and specificity of the operating points within groups of images, and their differences from the rest."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from service.artefact.card import OperatingPoint
from training.evaluation.bootstrap import entry
from training.evaluation.calibration import MIN_POSITIVES
from training.evaluation.metrics import Numbers, quotient, select_known
from training.evaluation.scores import Part, Row, known_resamples
from training.evaluation.subgroups import groups

NAMES = ("sensitivity", "specificity")


def group_rates(part: Part, points: Sequence[OperatingPoint | None]) -> list[Row]:
    """Return sensitivity and specificity in every group, and their differences from all images outside the group.

    Patients are resampled from all images together, so that a difference includes the correlation of images of one
    patient in two groups, such as views.

    Returns
    -------
    list
        A row for each name, group, and label with an operating point, and for the mean (`macro`) over the labels with
        at least ten cases (positives for sensitivity, else negatives) in the group and ten outside. `value` and
        `difference` are None with fewer cases.
    """
    chosen = [label for label, point in enumerate(points) if point]
    found = list(groups(part.predictions.cases))
    if not (chosen and found):
        return []
    inside = np.stack([np.isin(np.arange(len(part.predictions)), indices) for _, _, indices in found], 1)
    totals = np.stack([label_totals(part, label, points[label].threshold, inside) for label in chosen], 1)  # type: ignore[union-attr]
    labels = [part.predictions.labels[label] for label in chosen]
    return [
        {"name": name, "split": part.split, "by": by, "group": group, **row}
        for place, (by, group, _) in enumerate(found)
        for kind, name in enumerate(NAMES)
        for row in rate_rows(labels, totals[:, :, place, kind], totals[:, :, -1, kind])
    ]


def label_totals(part: Part, label: int, threshold: float, inside: NDArray[np.bool_]) -> Numbers:
    """Count cases and those that the threshold classifies rightly on every resample.

    Parameters
    ----------
    inside
        `[N, G] bool`, whether an image is in a group.

    Returns
    -------
    ndarray
        `[1 + R, G + 1, 2, 2]`: groups and all images; positives and negatives; cases and right ones.
    """
    known = ~np.isnan(part.predictions.targets[:, label])
    scores, positive = select_known(part.readings[0].probabilities[""], part.predictions.targets, label)
    alert = scores >= threshold
    kinds = np.stack([positive, positive & alert, ~positive, ~positive & ~alert], 1)  # [n, 4]
    members = np.column_stack([inside[known], np.ones(len(scores), bool)])  # [n, G + 1]
    flags = (members[:, :, None] & kinds[:, None]).reshape(len(scores), -1)
    return known_resamples(part, label).totals(flags).reshape(-1, members.shape[1], 2, 2)


def rate_rows(labels: Sequence[str], inside: Numbers, everywhere: Numbers) -> Iterator[Row]:
    """Yield the rows of one rate in one group, from cases and right ones `[1 + R, K, 2]`, in the group and overall."""
    outside = everywhere - inside
    rates, others = (quotient(counts[..., 1], counts[..., 0]) for counts in (inside, outside))
    rates = np.where(inside[0, :, 0] < MIN_POSITIVES, np.nan, rates)
    others = np.where(outside[0, :, 0] < MIN_POSITIVES, np.nan, others)
    for place, label in enumerate(labels):
        yield {"label": label, **row(inside[0, place, 0], rates[:, place], others[:, place])}
    both = ~np.isnan(rates[0] - others[0])
    named = [label for label, is_chosen in zip(labels, both, strict=True) if is_chosen]
    means = [values[:, both].mean(1) if named else np.full(len(values), np.nan) for values in (rates, others)]
    yield {"label": "macro", "labels": named, **row(inside[0, both, 0].sum(), *means)}


def row(cases: float, rates: Numbers, others: Numbers) -> Row:
    """Return the fields of a rate and of its difference, from samples `[1 + R]` in the group and outside."""
    difference = entry(rates - others)
    return {
        "cases": int(cases),
        **entry(rates),
        "difference": difference["value"],
        "difference_interval": difference["interval"],
    }

"""Table 1 of a study: who the patients are, how they were imaged and what they have, in each split."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from training.data.sample import Case, targets
from training.evaluation.subgroups import UNKNOWN

Row = dict[str, Any]


def characteristics(splits: Mapping[str, Sequence[Case]], labels: Sequence[str]) -> list[Row]:
    """Describe every split: one row each, with counts of what is missing.

    Age and sex are counted once for each patient, at the first image in the table's order; view, collection and
    findings once for each image.
    """
    return [{"split": split, **describe(cases, labels)} for split, cases in splits.items()]


def describe(cases: Sequence[Case], labels: Sequence[str]) -> Row:
    """Describe the images of one split."""
    images = Counter(case.patient for case in cases)
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.patient, case)
    ages = [case.age for case in first.values() if case.age is not None]
    values = targets(cases).reshape(-1, len(labels))  # [N, K], also without cases
    return {
        "images": len(cases),
        "patients": len(first),
        "images_per_patient": spread(images.values()),
        "age": {**spread(ages), "missing": len(first) - len(ages)},
        "sex": counts((case.sex for case in first.values()), ("F", "M")),
        "view": counts((case.view for case in cases), ("PA", "AP")),
        "collection": counts((case.collection for case in cases), ()),
        "findings": {
            label: {name: int(is_so.sum()) for name, is_so in states(column)}
            for label, column in zip(labels, values.T, strict=True)
        },
    }


def spread(values: Iterable[float]) -> Row:
    """Return median, quartiles and range of numbers; None where there are none."""
    numbers = list(values)
    if not numbers:
        return {"median": None, "quartiles": None, "range": None}
    low, median, high = np.percentile(numbers, [25, 50, 75]).tolist()
    return {"median": median, "quartiles": [low, high], "range": [float(min(numbers)), float(max(numbers))]}


def counts(names: Iterable[str], order: Sequence[str]) -> dict[str, int]:
    """Count names: those of `order`, then others, then `unknown` for the empty name; each only if it occurs."""
    found = Counter(name or UNKNOWN for name in names)
    others = sorted(found.keys() - {*order, UNKNOWN})
    return {name: found[name] for name in (*order, *others, UNKNOWN) if name in found}


def states(column: Any) -> Iterable[tuple[str, Any]]:
    """Yield the state of a finding, and for which of the images `[N]` it holds: `[N] bool`."""
    yield "positives", column == 1
    yield "negatives", column == 0
    yield "unknown", np.isnan(column)

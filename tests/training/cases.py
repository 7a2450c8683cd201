"""Builders of cases and predictions for tests."""

import numpy as np

from training.data.sample import Case
from training.evaluation.predictions import Predictions


def cases(targets: np.ndarray, collections: tuple[str, ...] = ("",), prefix: str = "") -> tuple[Case, ...]:
    """One case with its own patient for every row of [N, K]; collections alternate."""
    names = [f"{prefix}{number}" for number in range(len(targets))]
    return tuple(
        Case(name, name, tuple(row), collections[number % len(collections)])
        for number, (name, row) in enumerate(zip(names, targets.astype(float).tolist(), strict=True))
    )


def predicted(logits: np.ndarray, rows: tuple[Case, ...]) -> Predictions:
    """Logits [3, N, K] of these cases; the box is the whole canvas, the peak its middle."""
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (len(rows), 1))
    return Predictions(logits.astype(np.float32), boxes, np.full((len(rows), 2), 0.5, np.float32), rows)

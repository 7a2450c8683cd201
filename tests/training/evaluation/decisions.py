"""A part of a test list with calibrated probabilities and operating points, for tests of what depends on thresholds."""

from dataclasses import replace

import numpy as np

from model.labels import LABELS
from service.artefact.card import OperatingPoint
from tests.training.cases import cases, predicted
from training.evaluation.scores import Part, Reading

THRESHOLD = 0.4


def point(threshold: float = THRESHOLD) -> OperatingPoint:
    """An operating point; only its threshold matters here."""
    share = {"sensitivity": 0.5, "specificity": 0.5, "sensitivity_interval": (0, 1), "specificity_interval": (0, 1)}
    return OperatingPoint(threshold=threshold, positives=10, negatives=10, source="here", **share)  # type: ignore[arg-type]


def points(*labels: str) -> list[OperatingPoint | None]:
    """An operating point for these labels, and None for the others."""
    return [point() if label in labels else None for label in LABELS]


def part(count: int = 120, seed: int = 0, images_per_patient: int = 2) -> Part:
    """Random images of both sexes and views; Hernia is never present, and Mass unknown for the first twenty."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((count, 14)) < 0.35).astype(float)
    targets[:, LABELS.index("Hernia")] = 0
    targets[:20, LABELS.index("Mass")] = np.nan
    probabilities = generator.random((count, 14)) * 0.6 + 0.3 * np.nan_to_num(targets)
    rows = tuple(
        replace(
            case,
            patient=str(number // images_per_patient),
            sex="FM"[number // images_per_patient % 2],
            view=("PA", "AP")[number % 2],
        )
        for number, case in enumerate(cases(targets))
    )
    logits = np.log(probabilities / (1 - probabilities))
    return Part("test", predicted(np.stack([logits] * 3), rows), (Reading("fusion", logits, {"": probabilities}),))

"""How a run decides: its calibration and operating points, computed on images that it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.artefact.card import OperatingPoint
from training.errors import TrainingError
from training.evaluation.assessment import restrict, suffix
from training.evaluation.calibration import Calibration, calibrate
from training.evaluation.operating_points import Choice, Terms, choose
from training.evaluation.predictions import Predictions
from training.fit import checkpoint
from training.report.calibration_source import CalibrationSource

CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class Decision:
    """Calibration and operating points of a run.

    Attributes
    ----------
    source
        Name and number of the images from which they were computed.
    predictions
        The run's outputs for these images and, if only a collection of them was used, for the others.
    choices
        One for each label, in order.
    """

    source: tuple[str, int]
    predictions: Predictions
    calibration: Calibration
    choices: tuple[Choice, ...]

    @property
    def points(self) -> list[OperatingPoint | None]:
        """Operating points in label order."""
        return [choice.point for choice in self.choices]


def decide(source: CalibrationSource, collection: str, least_sensitivity: float) -> Decision:
    """Compute calibration and operating points.

    Parameters
    ----------
    collection
        Collection whose images are used; empty for all.
    least_sensitivity
        A label gets an operating point if the lower bound of its sensitivity is above it.
    """
    chosen = restrict(source.predictions, collection)
    calibration = calibrate(chosen)
    choices = choose(source.predictions, calibration, Terms(source.name, collection, least_sensitivity))
    return Decision((source.name + suffix(collection), len(chosen)), source.predictions, calibration, tuple(choices))


def decision_rows(decision: Decision | None, labels: Sequence[str]) -> dict[str, Any]:
    """Return the entries `calibration`, `operating_points` and `operating_points_missing` of `metrics.json`."""
    choices = decision.choices if decision else [Choice(label, None, "not calibrated") for label in labels]
    name, images = decision.source if decision else (None, 0)
    return {
        "calibration": {"source": name, "images": images},
        "operating_points": [choice.point and choice.point.model_dump() for choice in choices],
        "operating_points_missing": {choice.label: choice.reason for choice in choices if choice.reason},
    }


def save_calibration(run: Path, calibration: Calibration) -> None:
    """Write the calibration of a run."""
    checkpoint.write_json(run / CALIBRATION, {"slope": calibration.slope.tolist(), "bias": calibration.bias.tolist()})


def load_calibration(run: Path) -> Calibration:
    """Read the calibration of an evaluated run.

    Raises
    ------
    TrainingError
        The run was evaluated without calibration, or not at all.
    """
    if not (run / CALIBRATION).is_file():
        raise TrainingError(
            f"{run}: it is not calibrated, so that it has no probabilities to serve: evaluate it with --fold, or train "
            "it with --split train, which keeps val apart for calibration"
        )
    document = checkpoint.read_json(run / CALIBRATION)
    return Calibration(np.array(document["slope"]), np.array(document["bias"]))

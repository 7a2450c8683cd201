"""External sets: the test lists of other folders of data, scored beside the run's own, which leave its card alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from model.agcnn import Agcnn
from service.artefact.card import OperatingPoint
from training.data.cache import Canvases
from training.data.relabel import relabel
from training.data.sources import canvases, population
from training.errors import TrainingError
from training.evaluation.assessment import assess, rates_on_test, readings
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import Predictions, predict_distributed
from training.evaluation.scores import Part
from training.fit.lineage import training_patients


def open_external_sets(
    folders: Sequence[Path], run: Path, labels: tuple[str, ...], size: int, cache: Path
) -> dict[str, Canvases]:
    """Open the test list of each folder, with the labels of the run.

    A label that the run does not have is left out, and one that the folder does not have is unknown.

    Raises
    ------
    TrainingError
        A folder has no test list, none of the run's labels, a patient on whom the run was trained, or the name of
        another folder.
    """
    trained = training_patients(run) if folders else set()
    sets: dict[str, Canvases] = {}
    for folder in folders:
        name, images = folder.resolve().name, canvases(folder, "test", size, cache)
        if name in sets:
            raise TrainingError(f"--also: two folders are named {name}")
        if known := {f"{population(folder)}/{patient}" for patient in images.patients} & trained:
            raise TrainingError(f"--also {folder}: {len(known)} patients of its test list are in the training data")
        sets[name] = relabel(images, labels)
    return sets


def predict_external(fabric: Fabric, network: Agcnn, sets: Mapping[str, Canvases]) -> dict[str, Predictions]:
    """Predict every set; every process returns all images."""
    return {name: predict_distributed(fabric, network, images) for name, images in sets.items()}


def external_scores(
    predicted: Mapping[str, Predictions], calibration: Calibration | None, points: Sequence[OperatingPoint | None]
) -> dict[str, Any]:
    """Return, for each set, all scores in the form of `metrics.json`, and the rates of the run's operating points."""
    sections = {}
    for name, test in predicted.items():
        calibrated = calibration.probabilities(test.logits) if calibration else None
        part = Part(f"{name} test", test, readings(test, calibrated))
        rates = rates_on_test(part, points) if calibration else []
        sections[name] = {**assess([part]), "operating_points_on_test": rates}
    return sections

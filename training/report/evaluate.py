"""The command `agcnn evaluate`: calibrate on the folds, score once on the test list, and write all documents."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.labels import LABELS
from training.data.examples import count_examples, require_examples
from training.data.sources import canvases
from training.errors import TrainingError
from training.evaluation import predictions
from training.evaluation.assessment import (
    assess,
    out_of_fold_part,
    parts,
    rates_on_test,
    readings,
    restrict,
    suffix,
)
from training.evaluation.calibration import Calibration, calibrate, operating_points
from training.evaluation.comparison import read_tables
from training.evaluation.predictions import BRANCHES, Predictions
from training.evaluation.scores import Part
from training.fit import checkpoint
from training.fit.devices import create_fabric
from training.fit.lineage import earlier_patients, require_trained
from training.fit.run import HELD_OUT
from training.fit.served_weights import as_served
from training.report import html_report, model_card
from training.report.pictures import pictures

METRICS, CARD, CALIBRATION, REPORT = "metrics.json", "card.json", "calibration.json", "report.html"
CARD_SCORES = {"auroc": BRANCHES, "auprc": BRANCHES, "brier": BRANCHES[:1], "ece": BRANCHES[:1]}  # name to branches
CARD_FIELDS = ("name", "split", "images", "branch", "label", "value", "interval", "positives")


@dataclass(frozen=True)
class Evaluation:
    """Inputs of an evaluation.

    Attributes
    ----------
    folds
        Finished fold runs of the same recipe.
    collection
        Collection from which calibration and operating points are computed, and within which every score is given
        too; empty for all images.
    compare
        Tables of other models' predictions on the test list.
    devices
        Number of processes that predict.
    """

    folds: tuple[Path, ...]
    data: Path
    cache: Path
    collection: str = ""
    compare: tuple[Path, ...] = ()
    devices: int = 1


def cross_validate(evaluation: Evaluation) -> dict[str, Any]:
    """Score the pooled held-out predictions of the folds, without the test list."""
    folds = [held_out_predictions(fold) for fold in evaluation.folds]
    pooled = predictions.pool(folds)
    require_examples(count_examples(pooled.targets, pooled.labels), "held-out images of the folds")
    return assess(parts(out_of_fold_part(folds, evaluation.collection), evaluation.collection))


def evaluate(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Calibrate, score on the test list and write the run's documents; returns the content of `metrics.json`.

    With several devices every process predicts, and the first does the rest; the others return nothing.
    """
    require_trained(run)
    network, document = checkpoint.load(run)
    network, size = as_served(network), network.config.canvas_size
    fabric = create_fabric(evaluation.devices)
    fabric.launch()
    with fabric.rank_zero_first():
        images = canvases(evaluation.data, "test", size, evaluation.cache)
    check_folds(evaluation.folds, document["network"], images.patients)
    others = read_tables(evaluation.compare, images.cases)
    test = predictions.predict_distributed(fabric, network, images)
    if not fabric.is_global_zero:
        return {}
    predictions.save(run / "test.npz", test)

    folds = [held_out_predictions(fold) for fold in evaluation.folds]
    pooled = predictions.pool(folds)
    require_examples(count_examples(pooled.targets, pooled.labels), "held-out images of the folds")
    chosen = restrict(pooled, evaluation.collection)
    calibration = calibrate(chosen)
    source = f"out-of-fold, {evaluation.data.name} train+val" + suffix(evaluation.collection)
    points = operating_points(chosen, calibration, source)
    whole = Part("test", test, (*readings(test, calibration.probabilities(test.logits)), *others))
    out_of_fold = out_of_fold_part(folds, evaluation.collection)
    metrics = {
        **assess([part for each in (out_of_fold, whole) for part in parts(each, evaluation.collection)]),
        "operating_points": [point and point.model_dump() for point in points],
        "operating_points_on_test": rates_on_test(parts(whole, evaluation.collection), points),
    }
    checkpoint.write_json(run / METRICS, metrics)
    checkpoint.write_json(run / CALIBRATION, {"slope": calibration.slope.tolist(), "bias": calibration.bias.tolist()})
    card = {
        "operating_points": metrics["operating_points"],
        "training_data": document["training_data"],
        "metrics": card_metrics(metrics["metrics"]),
        "statistics": statistics(run, evaluation, calibration, pooled),
        "model_card": model_card.model_card(document, metrics),
    }
    checkpoint.write_json(run / CARD, card)
    content = {name: document[name] for name in ("network", "commit", "training_data")} | metrics
    page = html_report.render(content, test, calibration, pictures(network, images, test, calibration))
    (run / REPORT).write_text(page, encoding="utf-8")
    return metrics


def load_calibration(run: Path) -> Calibration:
    """Read the calibration of an evaluated run."""
    document = checkpoint.read_json(run / CALIBRATION)
    return Calibration(np.array(document["slope"]), np.array(document["bias"]))


def held_out_predictions(fold: Path) -> Predictions:
    """Read a fold's predictions on its held-out images.

    Patients on whom its starting weights or teachers were trained are left out.

    Raises
    ------
    TrainingError
        None is left, or the fold has parts that were never trained.
    """
    require_trained(fold)
    held_out, earlier = predictions.load(fold / HELD_OUT), earlier_patients(fold)
    unseen = np.flatnonzero([patient not in earlier for patient in held_out.patients])
    if not len(unseen):
        raise TrainingError(f"{fold}: --init or --teacher was trained on every patient that it held out")
    return held_out.subset(unseen)


def check_folds(folds: Sequence[Path], network: dict[str, Any], test_patients: Sequence[str]) -> None:
    """Check that the folds can calibrate a run.

    Raises
    ------
    TrainingError
        A fold has another network than the run, or held out a patient of the test list.
    """
    for fold in folds:
        if checkpoint.read_json(fold / checkpoint.DOCUMENT)["network"] != network:
            raise TrainingError(f"{fold}: its network differs from the run's, so it cannot calibrate it")
        if shared := set(predictions.load(fold / HELD_OUT).patients).intersection(test_patients):
            raise TrainingError(f"{fold}: {len(shared)} patients that it held out are in the test list too")


def card_metrics(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Select the scores for the artefact's card, AUROC first."""
    rows = list(rows)
    return [
        {field: row[field] for field in CARD_FIELDS}
        for name, branches in CARD_SCORES.items()
        for row in rows
        if row["name"] == name and row["branch"] in branches
    ]


def statistics(run: Path, evaluation: Evaluation, calibration: Calibration, pooled: Predictions) -> dict[str, Any]:
    """Mean and standard deviation of the images' mean pixel and of each fusion probability.

    They are computed on the validation images, or on those of the folds if the run has none.
    """
    validation, size = run / HELD_OUT, checkpoint.read_json(run / checkpoint.DOCUMENT)["network"]["canvas_size"]
    predicted = predictions.load(validation) if validation.is_file() else pooled
    split = "val" if validation.is_file() else "train+val"
    images = canvases(evaluation.data, split, size, evaluation.cache)
    fusion = calibration.probabilities(predicted.logits)[0]
    return {
        "pixel_mean": mean_and_deviation(images.means()),
        "probability": {label: mean_and_deviation(column) for label, column in zip(LABELS, fusion.T, strict=True)},
    }


def mean_and_deviation(values: Any) -> list[float]:
    """Return mean and standard deviation of an array."""
    return [float(np.mean(values)), float(np.std(values))]

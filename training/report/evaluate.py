"""The command `agcnn evaluate`: calibrate on the folds, score once on the test list, and write all documents."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.agcnn import AgcnnConfig, without_second_look
from model.labels import LABELS
from training.data.sources import canvases
from training.errors import TrainingError
from training.evaluation import predictions, predictions_table
from training.evaluation.assessment import (
    assess,
    out_of_fold_part,
    parts,
    rates_on_test,
    readings,
    restrict,
)
from training.evaluation.calibration import Calibration, calibrate
from training.evaluation.comparison import read_tables
from training.evaluation.operating_points import LEAST_SENSITIVITY, Terms, choose
from training.evaluation.predictions import BRANCHES, Predictions
from training.evaluation.scores import Part
from training.fit import checkpoint
from training.fit.lineage import earlier_patients
from training.fit.loop import create_fabric
from training.fit.run import HELD_OUT
from training.fit.served_weights import as_served
from training.report import html_report, model_card
from training.report.checklist import answers, markdown
from training.report.html_report import Shown
from training.report.pictures import pictures, small_pictures
from training.report.sections import SECTIONS
from training.report.study import Scored, failure_entries, read_plan, study

METRICS, CARD, CALIBRATION, REPORT = "metrics.json", "card.json", "calibration.json", "report.html"
TEST, TABLE, CHECKLIST = "test.npz", "predictions.csv", "checklist.md"
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
    least_sensitivity
        A label gets an operating point if the lower bound of its sensitivity is above it.
    second_look
        False: the local branch and the fusion layer are left out, and the global branch decides.
    """

    folds: tuple[Path, ...]
    data: Path
    cache: Path
    collection: str = ""
    compare: tuple[Path, ...] = ()
    devices: int = 1
    least_sensitivity: float = LEAST_SENSITIVITY
    second_look: bool = True


def cross_validate(evaluation: Evaluation) -> dict[str, Any]:
    """Score the pooled held-out predictions of the folds, without the test list."""
    folds = _held_out(evaluation)
    return assess(parts(out_of_fold_part(folds, evaluation.collection), evaluation.collection))


def evaluate(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Calibrate, score on the test list and write the run's documents; returns the content of `metrics.json`.

    With several devices every process predicts, and the first does the rest; the others return nothing.
    """
    network, document = checkpoint.load(run)
    if not evaluation.second_look:
        network = without_second_look(network)
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
    predictions.save(run / TEST, test)

    plan, document = read_plan(run), {**document, "network": asdict(network.config)}
    folds = _held_out(evaluation)
    pooled = predictions.pool(folds)
    calibration = calibrate(restrict(pooled, evaluation.collection))
    source = f"out-of-fold, {evaluation.data.name} train+val"
    choices = choose(pooled, calibration, Terms(source, evaluation.collection, evaluation.least_sensitivity))
    points = [choice.point for choice in choices]
    probabilities = calibration.probabilities(test.logits)
    predictions_table.write(run / TABLE, test, probabilities)
    whole = Part("test", test, (*readings(test, probabilities), *others))
    out_of_fold = out_of_fold_part(folds, evaluation.collection)
    metrics = {
        **assess([part for each in (out_of_fold, whole) for part in parts(each, evaluation.collection)]),
        "operating_points": [point and point.model_dump() for point in points],
        "operating_points_missing": {choice.label: choice.reason for choice in choices if choice.reason},
        "operating_points_on_test": rates_on_test(parts(whole, evaluation.collection), points),
        **study(plan, document, evaluation.data, Scored(pooled, test, evaluation.collection)),
        **failure_entries(parts(whole, evaluation.collection)[-1]),
    }
    checkpoint.write_json(run / METRICS, metrics)
    checkpoint.write_json(run / CALIBRATION, {"slope": calibration.slope.tolist(), "bias": calibration.bias.tolist()})
    card = {
        "operating_points": metrics["operating_points"],
        "training_data": document["training_data"],
        "metrics": card_metrics(metrics["metrics"], network.config.second_look),
        "statistics": statistics(run, evaluation, calibration, pooled),
        "model_card": model_card.model_card(document, metrics),
        **({} if network.config.second_look else {"second_look": False}),
    }
    checkpoint.write_json(run / CARD, card)
    content = {name: document[name] for name in ("network", "commit", "training_data")} | metrics
    checklists = answers({"run": document, "plan": plan or {}, "metrics": metrics, "card": card})
    wrong = small_pictures(network, images, test, calibration, (row["image"] for row in metrics["failures"]))
    shown = Shown(pictures(network, images, test, calibration), wrong, checklists)
    (run / REPORT).write_text(html_report.render(content, test, calibration, shown), encoding="utf-8")
    (run / CHECKLIST).write_text(markdown(checklists, SECTIONS), encoding="utf-8")
    return metrics


def load_calibration(run: Path) -> Calibration:
    """Read the calibration of an evaluated run."""
    document = checkpoint.read_json(run / CALIBRATION)
    return Calibration(np.array(document["slope"]), np.array(document["bias"]))


def _held_out(evaluation: Evaluation) -> list[Predictions]:
    """Return the held-out predictions of every fold, as the run is to decide."""
    folds = [held_out_predictions(fold) for fold in evaluation.folds]
    return folds if evaluation.second_look else [predictions.without_second_look(fold) for fold in folds]


def held_out_predictions(fold: Path) -> Predictions:
    """Read a fold's predictions on its held-out images.

    Patients on whom its starting weights or teachers were trained are left out.

    Raises
    ------
    TrainingError
        None is left.
    """
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
        # Documents of older versions lack fields that have defaults since.
        if AgcnnConfig(**checkpoint.read_json(fold / checkpoint.DOCUMENT)["network"]) != AgcnnConfig(**network):
            raise TrainingError(f"{fold}: its network differs from the run's, so it cannot calibrate it")
        if shared := set(predictions.load(fold / HELD_OUT).patients).intersection(test_patients):
            raise TrainingError(f"{fold}: {len(shared)} patients that it held out are in the test list too")


def card_metrics(rows: Iterable[dict[str, Any]], second_look: bool = True) -> list[dict[str, Any]]:
    """Select the scores for the artefact's card, AUROC first; without a second look there are none of `local`."""
    rows = list(rows)
    return [
        {field: row[field] for field in CARD_FIELDS}
        for name, branches in CARD_SCORES.items()
        for row in rows
        if row["name"] == name and row["branch"] in branches and (second_look or row["branch"] != "local")
    ]


def statistics(run: Path, evaluation: Evaluation, calibration: Calibration, pooled: Predictions) -> dict[str, Any]:
    """Mean and standard deviation of the images' mean pixel and of each fusion probability.

    They are computed on the validation images, or on those of the folds if the run has none.
    """
    validation, size = run / HELD_OUT, checkpoint.read_json(run / checkpoint.DOCUMENT)["network"]["canvas_size"]
    predicted = predictions.load(validation) if validation.is_file() else pooled
    if not evaluation.second_look:
        predicted = predictions.without_second_look(predicted)
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

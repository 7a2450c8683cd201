"""The command `agcnn evaluate`: calibrate on images kept apart, score once on the test list, write all documents."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.agcnn import Agcnn, without_second_look
from service.triage.site_rule import default_rule
from training.data.cache import Canvases
from training.data.relabel import relabel
from training.data.sources import image_names, joined_canvases, patients
from training.evaluation import predictions, predictions_table
from training.evaluation.adjudicated import assess_adjudicated, read_adjudicated
from training.evaluation.assessment import (
    assess,
    assess_decisions,
    parts,
    readings,
)
from training.evaluation.calibration import Calibration
from training.evaluation.comparison import read_tables
from training.evaluation.operating_points import LEAST_SENSITIVITY
from training.evaluation.scores import Part
from training.evaluation.triage_table import triage_table
from training.fit import checkpoint
from training.fit.devices import create_fabric, end_connection
from training.fit.lineage import require_trained
from training.fit.run import HELD_OUT
from training.fit.served_weights import as_served
from training.report import model_card
from training.report.calibration_source import (
    CalibrationSource,
    check_folds,
    check_source,
    fold_of,
    from_folds,
    from_run,
)
from training.report.card_scores import card_localisation, card_metrics
from training.report.decision import CALIBRATION, Decision, decide, decision_rows, save_calibration
from training.report.drift import drift_statistics
from training.report.external import external_scores, open_external_sets, predict_external
from training.report.report_files import Drawn, write_report
from training.report.study import Scored, failure_entries, read_plan, study

METRICS, CARD = "metrics.json", "card.json"
TEST, TABLE = "test.npz", "predictions.csv"


@dataclass(frozen=True)
class Evaluation:
    """Inputs of an evaluation.

    Attributes
    ----------
    folds
        Finished fold runs of the same recipe; empty to calibrate on the run's own held-out images.
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
    prevalence
        Label to a prevalence for which predictive values are computed too.
    adjudicated
        Table of adjudicated labels, for images of the test list.
    further
        Further folders of data, used together with `data`.
    also
        Other folders of data, whose test lists are scored in a section of their own.
    """

    folds: tuple[Path, ...]
    data: Path
    cache: Path
    collection: str = ""
    compare: tuple[Path, ...] = ()
    devices: int = 1
    least_sensitivity: float = LEAST_SENSITIVITY
    second_look: bool = True
    prevalence: Mapping[str, float] = field(default_factory=dict)
    adjudicated: Path | None = None
    further: tuple[Path, ...] = ()
    also: tuple[Path, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders of data."""
        return (self.data, *self.further)

    @property
    def name(self) -> str:
        """Names of all folders."""
        return " + ".join(folder.name for folder in self.folders)

    def canvases(self, split: str, size: int, labels: tuple[str, ...]) -> Canvases:
        """Return the canvases of one split of all folders, with the labels of the run."""
        return relabel(joined_canvases(self.folders, split, size, self.cache), labels)


def cross_validate(evaluation: Evaluation) -> dict[str, Any]:
    """Score the held-out predictions of the folds, without the test list."""
    check_folds(evaluation.folds, None)
    part = from_folds(evaluation.folds, evaluation.name, evaluation.collection, evaluation.second_look).part
    return {**looks(evaluation.second_look), **assess(parts(part, evaluation.collection))}


def evaluate(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Calibrate, score on the test list and write the run's documents; returns the content of `metrics.json`.

    Without folds, the run is calibrated on its own held-out images. If it has none, it is scored without calibration
    and operating points, and has no card, so that it cannot be exported.

    With several devices every process predicts, and the first does the rest; the others return nothing.
    """
    require_trained(run, evaluation.second_look)
    network, document = checkpoint.load(run)
    if not evaluation.second_look:
        network = without_second_look(network)
    network, size, labels = as_served(network), network.config.canvas_size, checkpoint.labels_of(document)
    check_folds(evaluation.folds, run)
    fabric = create_fabric(evaluation.devices)
    fabric.launch()
    with fabric.rank_zero_first():
        images = evaluation.canvases("test", size, labels)
        external = open_external_sets(evaluation.also, run, labels, size, evaluation.cache)
    check_source(evaluation.folds or (run,), document, patients(evaluation.folders, "test"))
    others = read_tables(evaluation.compare, images.cases, labels)
    adjudicated = read_adjudicated(evaluation.adjudicated, images.cases) if evaluation.adjudicated else None
    test = predictions.predict_distributed(fabric, network, images)
    predicted = predict_external(fabric, network, external)
    end_connection(fabric)
    if not fabric.is_global_zero:
        return {}
    predictions.save(run / TEST, test)

    plan, document = read_plan(run), {**document, "network": asdict(network.config)}
    collection, source = evaluation.collection, calibration_source(run, evaluation)
    decision = decide(source, collection, evaluation.least_sensitivity) if source else None
    drawn = decision.calibration if decision else Calibration.identity(len(test.labels))
    calibrated = drawn.probabilities(test.logits)
    predictions_table.write(run / TABLE, test, calibrated)
    tested = parts(Part("test", test, (*readings(test, calibrated if decision else None), *others)), collection)
    points = decision.points if decision else [None] * len(test.labels)
    metrics = {
        **looks(evaluation.second_look),
        **decision_rows(decision, test.labels),
        **assess([*(parts(source.part, collection) if source else ()), *tested]),
        **assess_decisions(tested, points, evaluation.prevalence),
        "triage": [triage_table(part, points, default_rule(test.labels)) for part in tested] if decision else [],
        **study(plan, document, evaluation.data, Scored(source.part if source else None, test, collection)),
        **failure_entries(tested[-1], drawn),
    }
    if adjudicated:
        metrics["adjudicated"] = assess_adjudicated(tested[0], points, adjudicated)
    if predicted:
        metrics["external"] = external_scores(predicted, decision.calibration if decision else None, points)
    checkpoint.write_json(run / METRICS, metrics)
    for stale in (CARD, CALIBRATION):
        (run / stale).unlink(missing_ok=True)
    card: dict[str, Any] = {}
    if decision:
        save_calibration(run, decision.calibration)
        card = card_of(document, metrics, statistics(run, network, evaluation, decision))
        tested_sets = {f"{evaluation.name} test": test, **{f"{name} test": one for name, one in predicted.items()}}
        if localised := card_localisation(tested_sets):
            card["localisation"] = localised
        checkpoint.write_json(run / CARD, card)
    documents = {"run": document, "plan": plan or {}, "metrics": metrics, "card": card}
    write_report(run, documents, Drawn(network, images, test, drawn))
    return metrics


def card_of(document: dict[str, Any], metrics: dict[str, Any], statistics: dict[str, Any]) -> dict[str, Any]:
    """Return what the artefact's card takes from an evaluation."""
    second_look = document["network"]["second_look"]
    return {
        "labels": checkpoint.labels_of(document),
        "untrained": document.get("untrained", []),
        "operating_points": metrics["operating_points"],
        "training_data": document["training_data"],
        "metrics": card_metrics(metrics["metrics"], second_look),
        "statistics": statistics,
        "model_card": model_card.model_card(document, metrics),
        **looks(second_look),
    }


def looks(second_look: bool) -> dict[str, Any]:
    """Return the entry of a document that says that there was no second look; it is left out where there was one."""
    return {} if second_look else {"second_look": False}


def calibration_source(run: Path, evaluation: Evaluation) -> CalibrationSource | None:
    """Read the predictions that calibrate a run: of the folds, or its own; None if it kept no image apart."""
    if evaluation.folds:
        return from_folds(evaluation.folds, evaluation.name, evaluation.collection, evaluation.second_look)
    return from_run(run, evaluation.folders, evaluation.second_look)


def statistics(run: Path, network: Agcnn, evaluation: Evaluation, decision: Decision) -> dict[str, Any]:
    """Mean and deviation of the images' mean pixel and of each fusion probability; the height of class maps.

    They are computed on the run's held-out images, or on those of the folds if it has none.
    """
    validation, document = run / HELD_OUT, checkpoint.read_json(run / checkpoint.DOCUMENT)
    predicted = decision.predictions
    if evaluation.folds and validation.is_file():
        predicted = predictions.load(validation)
        predicted = predicted if evaluation.second_look else predictions.without_second_look(predicted)
    split = "val" if validation.is_file() and fold_of(run) is None and "adopted" not in document else "train+val"
    images = evaluation.canvases(split, document["network"]["canvas_size"], predicted.labels)
    if fold_of(run) is not None:
        held_out = {case.image for case in predicted.cases}
        folders = evaluation.folders
        chosen = [any(image_names(folder, case.image) & held_out for folder in folders) for case in images.cases]
        images = images.subset(np.flatnonzero(chosen))
    probabilities = decision.calibration.probabilities(predicted.logits)[0]
    return drift_statistics(network, images, predicted.labels, probabilities)

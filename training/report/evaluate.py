"""Calibrate on the folds, score once on the test list, and write down both, for machines and for people."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from model.labels import LABELS
from training.data.sources import canvases
from training.errors import TrainingError
from training.evaluation import predictions
from training.evaluation.calibration import Calibration, OperatingPoint, calibrate, operating_points, rates
from training.evaluation.comparison import compared
from training.evaluation.localisation import localisation
from training.evaluation.metrics import Numbers, known
from training.evaluation.predictions import BRANCHES, Predictions
from training.evaluation.scores import UNCALIBRATED, Part, Reading, differences, drawn, rows
from training.evaluation.subgroups import subgroups
from training.fit import checkpoint
from training.fit.lineage import patients_seen_before
from training.fit.loop import processes
from training.fit.run import HELD_OUT
from training.fit.served_weights import as_served
from training.report import model_card, report
from training.report.pictures import pictures

OUT_OF_FOLD = "out-of-fold, train+val"
METRICS, CARD, CALIBRATION, REPORT = "metrics.json", "card.json", "calibration.json", "report.html"
ON_CARD = {"auroc": BRANCHES, "auprc": BRANCHES, "brier": BRANCHES[:1], "ece": BRANCHES[:1]}  # of all that is scored
ENTRIES = ("name", "split", "images", "branch", "label", "value", "interval", "positives")  # of a score on the card


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate, and on what.

    Attributes
    ----------
    folds
        Finished fold runs of the same recipe.
    collection
        Calibration and operating points come from this collection alone, and every score is given within it too;
        empty for all images.
    compare
        Tables of other models' predictions on the test list.
    devices
        How many processes predict.
    """

    folds: tuple[Path, ...]
    data: Path
    cache: Path
    collection: str = ""
    compare: tuple[Path, ...] = ()
    devices: int = 1


def cross_validated(evaluation: Evaluation) -> dict[str, Any]:
    """Scores of the folds' pooled held-out predictions: the test list is not looked at."""
    folds = [held_out(fold) for fold in evaluation.folds]
    return assessed(parts(held_out_part(folds, evaluation.collection), evaluation.collection))


def evaluate(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Calibrate, score on the test list, write the run's documents; returns `metrics.json`'s content.

    With several devices the first process does all but predict, and the others return nothing.
    """
    network, document = checkpoint.load(run)
    network, size = as_served(network), network.config.canvas_size
    fabric = processes(evaluation.devices)
    fabric.launch()
    with fabric.rank_zero_first():
        images = canvases(evaluation.data, "test", size, evaluation.cache)
    refuse_strangers(evaluation.folds, document["network"], images.patients)
    others = compared(evaluation.compare, images.cases)
    test = predictions.dealt(fabric, network, images)
    if not fabric.is_global_zero:
        return {}
    predictions.save(run / "test.npz", test)

    folds = [held_out(fold) for fold in evaluation.folds]
    pooled = predictions.pooled(folds)
    judged = within(pooled, evaluation.collection)
    calibration = calibrate(judged)
    source = f"out-of-fold, {evaluation.data.name} train+val" + suffix(evaluation.collection)
    points = operating_points(judged, calibration, source)
    whole = Part("test", test, (*readings(test, calibration.probabilities(test.logits)), *others))
    out_of_fold = held_out_part(folds, evaluation.collection)
    found = {
        **assessed([part for each in (out_of_fold, whole) for part in parts(each, evaluation.collection)]),
        "operating_points": [point and asdict(point) for point in points],
        "operating_points_on_test": on_test(parts(whole, evaluation.collection), points),
    }
    checkpoint.write_json(run / METRICS, found)
    checkpoint.write_json(run / CALIBRATION, {"slope": calibration.slope.tolist(), "bias": calibration.bias.tolist()})
    card = {
        "operating_points": found["operating_points"],
        "training_data": document["training_data"],
        "metrics": on_card(found["metrics"]),
        "statistics": statistics(run, evaluation, calibration, pooled),
        "model_card": model_card.model_card(document, found),
    }
    checkpoint.write_json(run / CARD, card)
    shown = {name: document[name] for name in ("network", "commit", "training_data")} | found
    page = report.html(shown, test, calibration, pictures(network, images, test, calibration))
    (run / REPORT).write_text(page, encoding="utf-8")
    return found


def load_calibration(run: Path) -> Calibration:
    """Read the calibration of an evaluated run."""
    document = checkpoint.read_json(run / CALIBRATION)
    return Calibration(np.array(document["slope"]), np.array(document["bias"]))


def held_out(fold: Path) -> Predictions:
    """What a fold's network said of its part, less the patients whom its starting weights or teachers had seen."""
    found, seen = predictions.load(fold / HELD_OUT), patients_seen_before(fold)
    unseen = np.flatnonzero([patient not in seen for patient in found.patients])
    if not len(unseen):
        raise TrainingError(f"{fold}: --init or --teacher had seen every patient that it held out")
    return found.subset(unseen)


def refuse_strangers(folds: Sequence[Path], network: dict[str, Any], tested: Sequence[str]) -> None:
    """Raise where a fold cannot speak for a run: its network is another one, or it held out a patient of the test."""
    for fold in folds:
        if checkpoint.read_json(fold / checkpoint.DOCUMENT)["network"] != network:
            raise TrainingError(f"{fold}: its network is not built as the run's; what fits one does not fit the other")
        if shared := set(predictions.load(fold / HELD_OUT).patients).intersection(tested):
            raise TrainingError(f"{fold}: {len(shared)} patients that it held out are in the test list too")


def held_out_part(folds: Sequence[Predictions], collection: str) -> Part:
    """The folds' held-out images, each fold calibrated on the others, not on what it is scored on."""
    pooled = predictions.pooled(folds)
    calibrated = None
    if len(folds) > 1:
        calibrated = np.concatenate([
            calibrate(within(predictions.pooled([*folds[:place], *folds[place + 1 :]]), collection))
            .probabilities(fold.logits)
            for place, fold in enumerate(folds)
        ], 1)  # fmt: skip
    return Part(OUT_OF_FOLD, pooled, readings(pooled, calibrated))


def readings(found: Predictions, calibrated: Numbers | None) -> tuple[Reading, ...]:
    """Each branch's, from its logits and, where there are any, calibrated probabilities [3, N, K]."""
    raw = np.asarray(expit(found.logits, dtype=np.float64))
    return tuple(
        Reading(
            name,
            found.logits[branch],
            ({} if calibrated is None else {"": calibrated[branch]}) | {UNCALIBRATED: raw[branch]},
        )
        for branch, name in enumerate(BRANCHES)
    )


def parts(whole: Part, collection: str) -> list[Part]:
    """All images, and those of the collection if one is named."""
    if not collection:
        return [whole]
    chosen = np.flatnonzero([case.collection == collection for case in whole.predictions.cases])
    return [whole, whole.subset(whole.split + suffix(collection), chosen)]


def assessed(among: Sequence[Part]) -> dict[str, Any]:
    """Every score of every part, branch and compared model, as `metrics.json` has them."""
    found: dict[str, Any] = {
        "data": {
            part.split: {"images": len(part.predictions), "patients": len(set(part.predictions.patients))}
            for part in among
        },
        **{name: [] for name in ("metrics", "differences", "subgroups", "localisation", "compared")},
    }
    for part in among:
        draws = {reading.name: drawn(part, reading) for reading in part.readings}
        others = [reading.name for reading in part.readings if reading.name not in BRANCHES]
        for reading in part.readings:
            section = "compared" if reading.name in others else "metrics"
            found[section] += rows(part, reading, draws[reading.name])
        for pair in (("fusion", "global"), ("local", "global"), *((name, "fusion") for name in others)):
            found["differences"] += differences(part, pair, draws)
        found["subgroups"] += subgroups(part)
        found["localisation"] += localisation(part)
    return found


def on_card(scores: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The few scores that the artefact carries, AUROC first."""
    scores = list(scores)
    return [
        {entry: row[entry] for entry in ENTRIES}
        for name, branches in ON_CARD.items()
        for row in scores
        if row["name"] == name and row["branch"] in branches
    ]


def on_test(among: Iterable[Part], points: Sequence[OperatingPoint | None]) -> list[dict[str, Any]]:
    """What became of the thresholds on images that did not choose them."""
    return [
        {"label": LABELS[label], **asdict(rates(scores, positive, point.threshold, part.split))}
        for part in among
        for label, point in enumerate(points)
        for scores, positive in [known(part.readings[0].probabilities[""], part.predictions.targets, label)]
        if point and positive.any() and not positive.all()
    ]


def statistics(run: Path, evaluation: Evaluation, calibration: Calibration, pooled: Predictions) -> dict[str, Any]:
    """Mean and standard deviation over validation images, or the folds', of the mean pixel and of each fusion score."""
    validated, size = run / HELD_OUT, checkpoint.read_json(run / checkpoint.DOCUMENT)["network"]["canvas_size"]
    seen = predictions.load(validated) if validated.is_file() else pooled
    split = "val" if validated.is_file() else "train+val"
    images = canvases(evaluation.data, split, size, evaluation.cache)
    fusion = calibration.probabilities(seen.logits)[0]
    return {
        "pixel_mean": spread(images.means()),
        "probability": {label: spread(column) for label, column in zip(LABELS, fusion.T, strict=True)},
    }


def within(found: Predictions, collection: str) -> Predictions:
    """The images that calibration goes by; no image is an error."""
    chosen = found.within(collection) if collection else found
    if not len(chosen):
        raise TrainingError(f"folds: no image{suffix(collection).replace(',', ' of')}")
    return chosen


def suffix(collection: str) -> str:
    """As the card names a part of a split."""
    return f", collection {collection}" if collection else ""


def spread(values: Any) -> list[float]:
    """[mean, standard deviation]."""
    return [float(np.mean(values)), float(np.std(values))]

"""Calibrate on the folds, score once on the test list, and write down both: `metrics.json` and `card.json`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.labels import LABELS
from training import checkpoint, predictions
from training.calibration import Calibration, OperatingPoint, calibrate, known, operating_points, rates
from training.folding import as_served
from training.metrics import Score, aurocs, bootstrap, macro, percentiles, score_labels
from training.predictions import BRANCHES, Predictions
from training.run import HELD_OUT
from training.sources import canvases

OUT_OF_FOLD = "out-of-fold, train+val"
METRICS, CARD, CALIBRATION = "metrics.json", "card.json", "calibration.json"


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
    """

    folds: tuple[Path, ...]
    data: Path
    cache: Path
    collection: str = ""


def cross_validated(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Scores of the folds' pooled held-out predictions: the test list is not looked at."""
    return metrics(out_of_fold(evaluation.folds), OUT_OF_FOLD, evaluation.collection)


def out_of_fold(folds: Sequence[Path]) -> Predictions:
    """What every fold's network said of the images it had not seen."""
    return predictions.pooled([predictions.load(fold / HELD_OUT) for fold in folds])


def evaluate(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Calibrate, score on the test list, write the run's documents; returns `metrics.json`'s content."""
    network, document = checkpoint.load(run)
    pooled = out_of_fold(evaluation.folds)
    judged = within(pooled, evaluation.collection)
    calibration = calibrate(judged)
    source = f"out-of-fold, {evaluation.data.name} train+val" + suffix(evaluation.collection)
    points = operating_points(judged, calibration, source)

    size = network.config.canvas_size
    test = predictions.predict(as_served(network), canvases(evaluation.data, "test", size, evaluation.cache))
    predictions.save(run / "test.npz", test)
    found = {
        "metrics": [
            *metrics(pooled, OUT_OF_FOLD, evaluation.collection),
            *metrics(test, "test", evaluation.collection),
        ],
        "fusion_minus_global": differences(pooled, test, evaluation.collection),
        "operating_points": [point and asdict(point) for point in points],
        "operating_points_on_test": on_test(test, calibration, points, evaluation.collection),
    }
    checkpoint.write_json(run / METRICS, found)
    checkpoint.write_json(run / CALIBRATION, {"slope": calibration.slope.tolist(), "bias": calibration.bias.tolist()})
    card = {
        "operating_points": found["operating_points"],
        "training_data": document["training_data"],
        "metrics": found["metrics"],
        "statistics": statistics(run, evaluation, calibration, size),
    }
    checkpoint.write_json(run / CARD, card)
    return found


def load_calibration(run: Path) -> Calibration:
    """Read the calibration of an evaluated run."""
    document = checkpoint.read_json(run / CALIBRATION)
    return Calibration(np.array(document["slope"]), np.array(document["bias"]))


def metrics(found: Predictions, split: str, collection: str) -> list[dict[str, Any]]:
    """The card's list: AUROC of every branch and label, and of the macro average, over all and within a collection."""
    return [
        {
            "name": "auroc",
            "split": name,
            "images": len(part),
            "branch": branch,
            "label": label,
            "value": number(score.value),
            "interval": interval(score),
            "positives": score.positives,
        }
        for name, part in parts(found, split, collection)
        for branch, logits in zip(BRANCHES, part.logits, strict=True)
        for label, score in zip((*LABELS, "macro"), score_labels(logits, part.targets, part.patients), strict=True)
    ]


def differences(pooled: Predictions, test: Predictions, collection: str) -> dict[str, Any]:
    """Macro AUROC of fusion minus global with paired patient-bootstrap intervals: what the second look adds."""
    splits = [*parts(pooled, OUT_OF_FOLD, collection), *parts(test, "test", collection)]
    return {name: difference(part) for name, part in splits}


def difference(part: Predictions) -> dict[str, Any]:
    """Of the same resamples for both branches."""
    values = [macro(aurocs(logits, part.targets)[0]) for logits in part.logits[:2]]
    drawn = [macro(bootstrap(logits, part.targets, part.patients)) for logits in part.logits[:2]]
    return {"value": number(float(values[0] - values[1])), "interval": list(percentiles(drawn[0] - drawn[1]))}


def on_test(
    test: Predictions, calibration: Calibration, points: Iterable[OperatingPoint | None], collection: str
) -> list[dict[str, Any]]:
    """What became of the thresholds on images that did not choose them."""
    points = list(points)
    return [
        {"label": LABELS[label], **asdict(rates(scores, positive, point.threshold, name))}
        for name, part in parts(test, "test", collection)
        for label, point in enumerate(points)
        for scores, positive in [known(calibration.probabilities(part.logits)[0], part.targets, label)]
        if point and positive.any() and not positive.all()
    ]


def statistics(run: Path, evaluation: Evaluation, calibration: Calibration, size: int) -> dict[str, Any]:
    """Mean and standard deviation over validation images of the mean pixel and of each fusion probability."""
    held_out = run / HELD_OUT
    seen = predictions.load(held_out) if held_out.is_file() else out_of_fold(evaluation.folds)
    split = "val" if held_out.is_file() else "train+val"
    images = canvases(evaluation.data, split, size, evaluation.cache)
    pixels = np.array([images.pixels[row].mean() / 255 for row in images.rows])
    fusion = calibration.probabilities(seen.logits)[0]
    return {
        "pixel_mean": spread(pixels),
        "probability": {label: spread(column) for label, column in zip(LABELS, fusion.T, strict=True)},
    }


def parts(found: Predictions, split: str, collection: str) -> list[tuple[str, Predictions]]:
    """All images, and those of the collection if one is named."""
    whole = [(split, found)]
    return [*whole, (split + suffix(collection), found.within(collection))] if collection else whole


def within(found: Predictions, collection: str) -> Predictions:
    """The images that calibration goes by."""
    return found.within(collection) if collection else found


def suffix(collection: str) -> str:
    """As the card names a part of a split."""
    return f", collection {collection}" if collection else ""


def spread(values: Any) -> list[float]:
    """[mean, standard deviation]."""
    return [float(np.mean(values)), float(np.std(values))]


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value


def interval(score: Score) -> list[float] | None:
    """Where the value is defined."""
    return None if np.isnan([score.value, *score.interval]).any() else list(score.interval)

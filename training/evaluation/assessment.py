"""All scores of an evaluation: readings of each branch, out of fold and on the test list, with their differences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from service.artefact.card import OperatingPoint
from training.errors import TrainingError
from training.evaluation import predictions
from training.evaluation.calibration import calibrate, rates
from training.evaluation.decision_curve import decision_curves
from training.evaluation.group_rates import group_rates
from training.evaluation.localisation import localisation
from training.evaluation.metrics import Numbers, select_known
from training.evaluation.predictions import BRANCHES, Predictions
from training.evaluation.predictive_values import predictive_values
from training.evaluation.scores import UNCALIBRATED, Part, Reading, differences, resample, score_rows
from training.evaluation.subgroups import subgroups

OUT_OF_FOLD = "out-of-fold, train+val"


def out_of_fold_part(folds: Sequence[Predictions], collection: str) -> Part:
    """Pool the held-out images of all folds; the calibration of each fold is fitted on the other folds."""
    pooled = predictions.pool(folds)
    calibrated = None
    if len(folds) > 1:
        calibrated = np.concatenate([
            calibrate(restrict(predictions.pool([*folds[:place], *folds[place + 1 :]]), collection))
            .probabilities(fold.logits)
            for place, fold in enumerate(folds)
        ], 1)  # fmt: skip
    return Part(OUT_OF_FOLD, pooled, readings(pooled, calibrated))


def readings(predicted: Predictions, calibrated: Numbers | None) -> tuple[Reading, ...]:
    """Return the reading of each branch.

    Parameters
    ----------
    calibrated
        `[3, N, K] float64 in [0, 1]` calibrated probabilities; None if there is no calibration.
    """
    raw = np.asarray(expit(predicted.logits, dtype=np.float64))
    return tuple(
        Reading(
            name,
            predicted.logits[branch],
            ({} if calibrated is None else {"": calibrated[branch]}) | {UNCALIBRATED: raw[branch]},
        )
        for branch, name in enumerate(BRANCHES)
    )


def parts(whole: Part, collection: str) -> list[Part]:
    """Return the part with all images and, if a collection is named, the part with only its images."""
    if not collection:
        return [whole]
    chosen = np.flatnonzero([case.collection == collection for case in whole.predictions.cases])
    return [whole, whole.subset(whole.split + suffix(collection), chosen)]


def assess(parts: Sequence[Part]) -> dict[str, Any]:
    """Compute every score of every part, branch and compared model, in the form of `metrics.json`."""
    document: dict[str, Any] = {
        "data": {
            part.split: {"images": len(part.predictions), "patients": len(set(part.predictions.patients))}
            for part in parts
        },
        **{name: [] for name in ("metrics", "differences", "subgroups", "localisation", "compared")},
    }
    scored = iter(resample([(part, reading) for part in parts for reading in part.readings]))
    for part in parts:
        samples = {reading.name: next(scored) for reading in part.readings}
        others = [reading.name for reading in part.readings if reading.name not in BRANCHES]
        for reading in part.readings:
            section = "compared" if reading.name in others else "metrics"
            document[section] += score_rows(part, reading, samples[reading.name])
        for pair in (("fusion", "global"), ("local", "global"), *((name, "fusion") for name in others)):
            document["differences"] += differences(part, pair, samples)
        document["subgroups"] += subgroups(part)
        document["localisation"] += localisation(part)
    return document


def assess_decisions(
    parts: Sequence[Part], points: Sequence[OperatingPoint | None], stated: Mapping[str, float]
) -> dict[str, Any]:
    """Compute what follows from calibrated probabilities and thresholds, in the form of `metrics.json`.

    Parameters
    ----------
    parts
        Images that chose neither calibration nor thresholds.
    stated
        Label to a prevalence for which predictive values are computed too.

    Returns
    -------
    dict
        Lists of rows, which are empty without calibrated probabilities.

    Raises
    ------
    TrainingError
        A prevalence is stated for an unknown label.
    """
    labels = parts[0].predictions.labels
    if unknown := [label for label in stated if label not in labels]:
        raise TrainingError(f"--prevalence: unknown label {unknown[0]!r}; expected one of {', '.join(labels)}")
    calibrated = "" in parts[0].readings[0].probabilities
    parts = parts if calibrated else ()
    return {
        "operating_points_on_test": [row for part in parts for row in rates_on_test(part, points)],
        "predictive_values": [row for part in parts for row in predictive_values(part, points, stated)],
        "decision_curves": [row for part in parts for row in decision_curves(part)],
        "group_rates": [row for part in parts for row in group_rates(part, points)],
    }


def rates_on_test(part: Part, points: Sequence[OperatingPoint | None]) -> list[dict[str, Any]]:
    """Return sensitivity and specificity of the operating points on images that did not choose the thresholds."""
    return [
        {"label": part.predictions.labels[label], **rates(scores, positive, point.threshold, part.split).model_dump()}
        for label, point in enumerate(points)
        if point  # else there may be no calibrated probabilities either
        for scores, positive in [select_known(part.readings[0].probabilities[""], part.predictions.targets, label)]
        if positive.any() and not positive.all()
    ]


def restrict(predicted: Predictions, collection: str) -> Predictions:
    """Return the images that calibration uses: those of the collection, or all if none is named.

    Raises
    ------
    TrainingError
        There are none.
    """
    chosen = predicted.within(collection) if collection else predicted
    if not len(chosen):
        raise TrainingError(f"calibration: no image{f' of collection {collection}' if collection else ''}")
    return chosen


def suffix(collection: str) -> str:
    """Format a collection for the name of a split: `, collection B`, or nothing."""
    return f", collection {collection}" if collection else ""

"""Predictive values and alert rate of the operating points, at the prevalence of the images and at a stated one."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from service.artefact.card import OperatingPoint
from training.evaluation.bootstrap import entry
from training.evaluation.metrics import Numbers, quotient, select_known
from training.evaluation.scores import Part, Row, known_resamples

OBSERVED, STATED = "observed", "stated"  # prevalence of the images; prevalence that the user states


def predictive_values(part: Part, points: Sequence[OperatingPoint | None], stated: Mapping[str, float]) -> list[Row]:
    """Return PPV, NPV and alert rate (share of images at or above the threshold) of the fusion branch.

    Parameters
    ----------
    points
        Operating point of each label, or None.
    stated
        Label to a prevalence at which the values are computed too, from sensitivity and specificity.

    Returns
    -------
    list
        A row for each name, label and prevalence, with a patient-bootstrap interval; `value` is None where undefined.
    """
    rows = []
    for label, name in enumerate(part.predictions.labels):
        if (point := points[label]) is None:
            continue
        scores, positive = select_known(part.readings[0].probabilities[""], part.predictions.targets, label)
        alert = scores >= point.threshold
        flags = np.stack([positive, ~positive, positive & alert, ~positive & alert], 1)
        positives, negatives, hits, alarms = known_resamples(part, label).totals(flags).T
        shares = {OBSERVED: quotient(positives, positives + negatives)}
        if name in stated:
            shares[STATED] = np.full(len(positives), stated[name])
        about = {"split": part.split, "label": name, "images": len(scores), "threshold": point.threshold}
        for basis, share in shares.items():
            where = {**about, "basis": basis, "prevalence": float(share[0]) if len(scores) else None}
            rates = quotient(hits, positives), quotient(alarms, negatives)
            rows += [{"name": kind, **where, **entry(values)} for kind, values in at_prevalence(*rates, share)]
    return rows


def at_prevalence(sensitivity: Numbers, false_alarms: Numbers, prevalence: Numbers) -> Iterator[tuple[str, Numbers]]:
    """Yield PPV, NPV and alert rate `[1 + R]`, from sensitivity, 1 − specificity and prevalence `[1 + R]` each.

    Bayes' theorem; without a positive, or without a negative, all are NaN.
    """
    true, false = sensitivity * prevalence, false_alarms * (1 - prevalence)
    passed, missed = (1 - false_alarms) * (1 - prevalence), (1 - sensitivity) * prevalence
    yield "ppv", quotient(true, true + false)
    yield "npv", quotient(passed, passed + missed)
    yield "alert_rate", true + false

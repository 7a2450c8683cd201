"""Decision curves: net benefit of acting on a finding, over the probabilities at which one would act.

Vickers and Elkin, Decision curve analysis, Medical Decision Making 26:565 (2006): at a threshold t, a false alarm costs
t / (1 − t) of what a hit is worth. Acting on no image has net benefit 0; acting on all, that of the prevalence.
"""

import numpy as np

from training.evaluation.bootstrap import interval
from training.evaluation.metrics import Numbers, quotient, select_known
from training.evaluation.scores import Part, Row, enough, known_resamples

THRESHOLDS = np.arange(1, 51) / 100
ODDS = THRESHOLDS / (1 - THRESHOLDS)


def decision_curves(part: Part) -> list[Row]:
    """Return the decision curve of every finding with enough positives, for calibrated fusion probabilities.

    Returns
    -------
    list
        A row for each label, with lists over `thresholds`: `net_benefit`, its patient-bootstrap `intervals`, and
        `treat_all`, the net benefit of acting on every image.
    """
    rows = []
    for label in np.flatnonzero(enough(part)).tolist():
        scores, positive = select_known(part.readings[0].probabilities[""], part.predictions.targets, label)
        alert = scores[:, None] >= THRESHOLDS
        counts = np.concatenate([alert & positive[:, None], alert & ~positive[:, None], np.ones_like(alert)], 1)
        hits, alarms, images = np.split(known_resamples(part, label).totals(counts), 3, 1)  # [1 + R, T] each
        samples = net_benefit(hits, alarms, images)
        rows.append({
            "split": part.split,
            "label": part.predictions.labels[label],
            "images": len(positive),
            "positives": int(positive.sum()),
            "thresholds": THRESHOLDS.tolist(),
            "net_benefit": samples[0].tolist(),
            "intervals": [list(interval(column)) for column in samples.T],
            "treat_all": treat_all(positive.mean()).tolist(),
        })  # fmt: skip
    return rows


def net_benefit(hits: Numbers, alarms: Numbers, images: Numbers) -> Numbers:
    """Net benefit at each threshold, from numbers of hits, false alarms and images `[1 + R, T]`; NaN without images."""
    return quotient(hits - alarms * ODDS, images)


def treat_all(prevalence: float) -> Numbers:
    """Net benefit of acting on every image, at each threshold: `[T]`."""
    return np.asarray(prevalence - (1 - prevalence) * ODDS)

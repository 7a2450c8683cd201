"""The triage table: which priority the images of each finding get, and how the worklist's order ranks them."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.artefact.card import OperatingPoint
from service.triage.rule import PRIORITIES, Probabilities, Rule, TriageResult, triage
from training.evaluation.bootstrap import Resamples, entry
from training.evaluation.metrics import Flags, Numbers, auroc, curve, quotient, ranking
from training.evaluation.scores import Part, Row

URGENT, NO_FINDING = "urgent", "No Finding"
FIRST = (10, 20, 50)  # entries of a worklist that are read before the others
ROUTINE = PRIORITIES.index("ROUTINE")


def triage_table(part: Part, points: Sequence[OperatingPoint | None], rule: Rule) -> Row:
    """Apply the service's rule to the images of a part and count the results.

    Parameters
    ----------
    part
        Its first reading is the fusion branch, with calibrated probabilities.
    points
        K operating points, in label order.

    Returns
    -------
    dict
        `split`, `images`, `rule`, `without_operating_point` (labels of the rule); `priorities`: number of images by
        priority; `findings`: for each finding, for the urgent images (at least one finding of the rule is present) and
        for No Finding, the number of images by priority and the share that is alerted (STAT or HIGH); `order`: AUROC of
        the worklist's order and precision of its first entries, for the urgent images and each finding of STAT.
        Intervals are of patients drawn again. An image whose truth is unknown is not counted.
    """
    predicted, labels = part.predictions, part.predictions.labels
    results = apply(part.readings[0].probabilities[""], labels, points, rule)
    ranks = np.array([PRIORITIES.index(result.priority) for result in results])
    order, truths, drawn = urgency(results), truth(predicted.targets, labels, rule), part.resamples
    return {
        "split": part.split,
        "images": len(predicted),
        "rule": {"STAT": list(rule.stat), "HIGH": list(rule.high)},
        "without_operating_point": [
            label for label, point in zip(labels, points, strict=True) if label in rule.labels and point is None
        ],
        "priorities": {name: int((ranks == rank).sum()) for rank, name in enumerate(PRIORITIES)},
        "findings": [
            {"label": name, "positives": int((values == 1).sum()), **outcome(ranks, values == 1, drawn)}
            for name, values in truths.items()
        ],
        "order": [{"label": name, **ordering(order, truths[name], drawn)} for name in (URGENT, *rule.stat)],
    }


def apply(
    probabilities: Numbers, labels: Sequence[str], points: Sequence[OperatingPoint | None], rule: Rule
) -> list[TriageResult]:
    """Apply the service's rule to every image of `[N, K] in [0, 1]`."""
    return [triage(labels, points, Probabilities(row, row, row), rule) for row in probabilities]


def urgency(results: Sequence[TriageResult]) -> Numbers:
    """Return `[N]`, higher for earlier in the worklist: priority, then margin; equal where only the time decides."""
    margins = [-np.inf if result.margin is None else result.margin for result in results]
    keys = np.array(
        [(-PRIORITIES.index(result.priority), margin) for result, margin in zip(results, margins, strict=True)]
    )
    _, place = np.unique(keys.reshape(-1, 2), axis=0, return_inverse=True)
    return place.reshape(-1).astype(np.float64)


def truth(targets: Numbers, labels: Sequence[str], rule: Rule) -> Mapping[str, Numbers]:
    """Return `[N]` of 1, 0 or NaN for each finding, for urgent images, and for images without any finding.

    Parameters
    ----------
    targets
        `[N, K]`, NaN where unknown.
    """
    named = np.array([label in rule.labels for label in labels], bool)
    findings = dict(zip(labels, targets.T, strict=True))
    return {**findings, URGENT: present(targets[:, named]), NO_FINDING: 1 - present(targets)}


def present(targets: Numbers) -> Numbers:
    """Return 1 where any of `[N, k]` is 1, 0 where all are 0, else NaN: `[N]`."""
    unknown = np.isnan(targets).any(1)
    return np.where((targets == 1).any(1), 1.0, np.where(unknown, np.nan, 0.0))


def outcome(ranks: Numbers, chosen: Flags, drawn: Resamples) -> Row:
    """Count the chosen images `[N]` by priority, and give the share that is alerted."""
    alerted = chosen & (ranks < ROUTINE)
    samples = drawn.evaluate(lambda weights: quotient(weights @ alerted, weights @ chosen))
    counts: Row = {name: int((ranks[chosen] == rank).sum()) for rank, name in enumerate(PRIORITIES)}
    return {**counts, "alerted": entry(samples)}


def ordering(order: Numbers, truth: Numbers, drawn: Resamples) -> Row:
    """Score an order `[N]` against the truth `[N]`: AUROC, and precision of the first entries beside the prevalence."""
    known = ~np.isnan(truth)
    positive = truth[known] == 1
    ranked = ranking(order[known], positive)
    return {
        "positives": int(positive.sum()),
        "images": len(positive),
        "auroc": entry(drawn.evaluate(lambda weights: auroc(curve(ranked, weights[:, known])))),
        "precision": {str(first): precision(order[known], positive, first) for first in FIRST},
    }


def precision(order: Numbers, positive: Flags, first: int) -> float | None:
    """Return the share of positives among the first entries of an order `[N]`; None if it has fewer entries.

    Equal entries share the places that are left, as if drawn at random.
    """
    if len(order) < first:
        return None
    last = np.sort(order)[::-1][first - 1]
    before, equal = order > last, order == last
    hits = positive[before].sum() + positive[equal].mean() * (first - before.sum())
    return float(hits / first)

"""Small multiples: the curves of every finding as drawn in the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.evaluation.calibration import Calibration
from training.evaluation.metrics import Flags, Numbers, select_known
from training.evaluation.predictions import BRANCHES, Predictions
from training.report.curves import precision_recall, reliability, roc, stairs, thinned

DRAWN_BRANCHES = ("fusion", "global")
AXES = (0.05, 0.1, 0.2, 0.5, 1.0)  # possible ends of the axes


@dataclass(frozen=True)
class Panel:
    """One small plot: label, note, each branch's points in per cent from the upper left, and the end of both axes."""

    label: str
    note: str
    lines: Mapping[str, str]
    end: float = 1.0


@dataclass(frozen=True)
class Plots:
    """The panels of one kind of curve for one split; `across` and `up` name the axes."""

    kind: str
    across: str
    up: str
    panels: tuple[Panel, ...]


def plots(part: Predictions, calibration: Calibration) -> tuple[Plots, ...]:
    """Draw three kinds of curve for each label."""
    probabilities = calibration.probabilities(part.logits)
    return (
        Plots("ROC", "1 − specificity", "sensitivity", panels(part, part.logits, drawn_roc)),
        Plots("Precision–recall", "recall", "precision", panels(part, part.logits, drawn_precision_recall)),
        Plots("Reliability", "mean probability", "share positive", panels(part, probabilities, reliability)),
    )


def drawn_precision_recall(scores: Numbers, positive: Flags) -> Numbers:
    """Return the points `[n, 2]` of the precision-recall curve, from scores and truth `[N]`."""
    return stairs(thinned(precision_recall(scores, positive)))


def drawn_roc(scores: Numbers, positive: Flags) -> Numbers:
    """Return the points `[n, 2]` of the ROC curve, from scores and truth `[N]`."""
    return thinned(roc(scores, positive))


def panels(part: Predictions, scores: Numbers, curve: Callable[[Numbers, Flags], Numbers]) -> tuple[Panel, ...]:
    """Draw one panel for each label from scores `[3, N, K]`; it has no lines if a class is missing."""
    drawn = []
    for index, label in enumerate(part.labels):
        pairs = [select_known(scores[BRANCHES.index(branch)], part.targets, index) for branch in DRAWN_BRANCHES]
        positive = pairs[0][1]
        note = f"{int(positive.sum())} of {len(positive)}"
        if not positive.any() or positive.all():
            drawn.append(Panel(label, note, {}))
            continue
        curves = [curve(values, positive) for values, _ in pairs]
        end = next(end for end in AXES if end >= max(points.max() for points in curves))
        lines = {branch: path(points / end) for branch, points in zip(DRAWN_BRANCHES, curves, strict=True)}
        drawn.append(Panel(label, note, lines, end))
    return tuple(drawn)


def path(points: Numbers) -> str:
    """Format points `[n, 2]` as an SVG polyline in a square of 100, whose origin is the upper left corner."""
    return " ".join(f"{100 * x:.4g},{100 * (1 - y):.4g}" for x, y in points)

"""Small multiples: the curves of every finding as a report draws them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from model.labels import LABELS
from training.evaluation.calibration import Calibration
from training.evaluation.metrics import Flags, Numbers, known
from training.evaluation.predictions import BRANCHES, Predictions
from training.report.curves import precision_recall, reliability, roc, stairs, thinned

DRAWN = ("fusion", "global")  # branches
AXES = (0.05, 0.1, 0.2, 0.5, 1.0)  # where the axes of a plot may end


@dataclass(frozen=True)
class Panel:
    """One small plot: what it is of, a note under it, and each branch's points in per cent from the upper left."""

    label: str
    note: str
    lines: Mapping[str, str]
    end: float = 1.0


@dataclass(frozen=True)
class Plots:
    """The panels of one kind for one split."""

    kind: str
    across: str
    up: str
    panels: tuple[Panel, ...]


def plots(part: Predictions, calibration: Calibration) -> tuple[Plots, ...]:
    """Three kinds of curve for each label."""
    probabilities = calibration.probabilities(part.logits)
    return (
        Plots("ROC", "1 − specificity", "sensitivity", panels(part, part.logits, followed)),
        Plots("Precision–recall", "recall", "precision", panels(part, part.logits, recalled)),
        Plots("Reliability", "mean probability", "share positive", panels(part, probabilities, reliability)),
    )


def recalled(scores: Numbers, positive: Flags) -> Numbers:
    """The precision-recall curve as it is drawn."""
    return stairs(thinned(precision_recall(scores, positive)))


def followed(scores: Numbers, positive: Flags) -> Numbers:
    """The ROC curve as it is drawn."""
    return thinned(roc(scores, positive))


def panels(part: Predictions, scores: Numbers, curve: Callable[[Numbers, Flags], Numbers]) -> tuple[Panel, ...]:
    """One for each label; without lines where a class is missing."""
    found = []
    for index, label in enumerate(LABELS):
        pairs = [known(scores[BRANCHES.index(branch)], part.targets, index) for branch in DRAWN]
        positive = pairs[0][1]
        note = f"{int(positive.sum())} of {len(positive)}"
        if not positive.any() or positive.all():
            found.append(Panel(label, note, {}))
            continue
        curves = [curve(values, positive) for values, _ in pairs]
        end = next(end for end in AXES if end >= max(points.max() for points in curves))
        lines = {branch: path(points / end) for branch, points in zip(DRAWN, curves, strict=True)}
        found.append(Panel(label, note, lines, end))
    return tuple(found)


def path(points: Numbers) -> str:
    """The points of an SVG polyline in a square of 100, whose origin is the upper left corner."""
    return " ".join(f"{100 * x:.4g},{100 * (1 - y):.4g}" for x, y in points)

"""From probabilities to findings and a priority: the only place that turns a number into a clinical word."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.errors import ConfigurationError, InferenceFailed

Priority = Literal["STAT", "HIGH", "ROUTINE"]
_RESOLUTION = 1e-7  # of a float32 probability just under 1: keeps a saturated output's logit finite


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold fixed before the test, on the calibrated fusion probability, and what it achieved."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Rule:
    """Labels whose positive finding makes the priority STAT, or HIGH."""

    stat: tuple[str, ...]
    high: tuple[str, ...]


@dataclass(frozen=True)
class Probabilities:
    """What the network says, calibrated: each [K] float in [0, 1], in the order of the labels."""

    fusion: npt.NDArray[np.floating]
    global_: npt.NDArray[np.floating]
    local: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Finding:
    """One label's answer. Without an operating point the last four are None, and it takes no part in the priority."""

    label: str
    probability: float
    global_: float
    local: float
    threshold: float | None
    positive: bool | None
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True)
class TriageResult:
    """The answer to one radiograph.

    Attributes
    ----------
    reason
        Positive findings that made the priority, in label order; empty for ROUTINE.
    margin
        The largest logit(probability) - logit(threshold) over all findings with an operating point: negative where
        none is positive, None where there is no operating point. Orders a worklist within a priority.
    findings
        One per label, in label order.
    """

    priority: Priority
    reason: tuple[str, ...]
    margin: float | None
    findings: tuple[Finding, ...]


def check_rule(rule: Rule, labels: Sequence[str]) -> None:
    """Refuse a rule that names a label the artefact does not have.

    Raises
    ------
    ConfigurationError
    """
    for label in (*rule.stat, *rule.high):
        if label not in labels:
            raise ConfigurationError(f"the triage rule names {label!r}; the artefact knows {', '.join(labels)}")


def triage(
    labels: Sequence[str],
    operating_points: Sequence[OperatingPoint | None],
    probabilities: Probabilities,
    rule: Rule,
) -> TriageResult:
    """Say which findings are positive (probability >= threshold) and what priority they make.

    Parameters
    ----------
    labels, operating_points
        K of each, in the order of the network's outputs.

    Raises
    ------
    InferenceFailed
        A probability is not finite, is outside [0, 1], or there are not K.
    """
    _check(probabilities, len(labels))
    findings = tuple(
        _finding(label, point, probabilities, index)
        for index, (label, point) in enumerate(zip(labels, operating_points, strict=True))
    )
    priority, reason = _priority(findings, rule)
    margins = [_margin(finding.probability, finding.threshold) for finding in findings if finding.threshold is not None]
    return TriageResult(priority, reason, max(margins, default=None), findings)


def _check(probabilities: Probabilities, count: int) -> None:
    for values in (probabilities.fusion, probabilities.global_, probabilities.local):
        if values.shape != (count,):
            raise InferenceFailed(f"the network gave an output of shape {values.shape}, not ({count},)")
        if not np.all((values >= 0) & (values <= 1)):  # false for NaN too
            raise InferenceFailed("the network gave a probability that is not a number in [0, 1]")


def _finding(label: str, point: OperatingPoint | None, probabilities: Probabilities, index: int) -> Finding:
    probability = float(probabilities.fusion[index])
    return Finding(
        label=label,
        probability=probability,
        global_=float(probabilities.global_[index]),
        local=float(probabilities.local[index]),
        threshold=None if point is None else point.threshold,
        positive=None if point is None else probability >= point.threshold,
        sensitivity=None if point is None else point.sensitivity,
        specificity=None if point is None else point.specificity,
    )


def _priority(findings: Sequence[Finding], rule: Rule) -> tuple[Priority, tuple[str, ...]]:
    positive = [finding.label for finding in findings if finding.positive]
    if stat := tuple(label for label in positive if label in rule.stat):
        return "STAT", stat
    if high := tuple(label for label in positive if label in rule.high):
        return "HIGH", high
    return "ROUTINE", ()


def _margin(probability: float, threshold: float) -> float:
    return _logit(probability) - _logit(threshold)


def _logit(probability: float) -> float:
    clipped = min(max(probability, _RESOLUTION), 1 - _RESOLUTION)
    return math.log(clipped / (1 - clipped))

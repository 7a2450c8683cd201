"""From probabilities to findings and a priority; no other module decides what is positive or urgent."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from service.artefact.card import OperatingPoint
from service.errors import ConfigurationError, InferenceFailed
from service.triage.finding import Finding

Priority = Literal["STAT", "HIGH", "ROUTINE"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # most urgent first


@dataclass(frozen=True)
class Rule:
    """Labels whose positive finding makes the priority STAT or HIGH."""

    stat: tuple[str, ...]
    high: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that the rule names."""
        return (*self.stat, *self.high)


@dataclass(frozen=True)
class Probabilities:
    """Calibrated probabilities of the branches: each [K] float in [0, 1], in label order; `local` may be missing."""

    fusion: npt.NDArray[np.floating]
    global_: npt.NDArray[np.floating]
    local: npt.NDArray[np.floating] | None


@dataclass(frozen=True)
class TriageResult:
    """Priority and findings of one radiograph.

    Attributes
    ----------
    reason
        Positive findings that made the priority, in label order; empty for ROUTINE.
    margin
        Largest logit(probability) - logit(threshold) over the findings that the rule names and that have an operating
        point: negative where none of them is positive, None where there are none. Orders a worklist within a priority;
        a finding outside the rule is not urgent, so it does not move a radiograph up.
    findings
        One finding per label, in label order.
    """

    priority: Priority
    reason: tuple[str, ...]
    margin: float | None
    findings: tuple[Finding, ...]


def check_rule(rule: Rule, labels: Sequence[str]) -> None:
    """Check that the rule names only labels of the artefact.

    Raises
    ------
    ConfigurationError
    """
    for label in rule.labels:
        if label not in labels:
            raise ConfigurationError(f"the triage rule names {label!r}; the artefact's labels are {', '.join(labels)}")


def triage(
    labels: Sequence[str],
    operating_points: Sequence[OperatingPoint | None],
    probabilities: Probabilities,
    rule: Rule,
    untrained: Collection[str] = (),
) -> TriageResult:
    """Decide which findings are positive (probability >= threshold) and which priority they make.

    Parameters
    ----------
    labels, operating_points
        K each, in the order of the network's outputs.
    untrained
        Labels that training never saw: their outputs mean nothing, so they have no numbers and take no part.

    Raises
    ------
    InferenceFailed
        A probability is not finite or not in [0, 1], or an output does not have K values.
    """
    _check(probabilities, len(labels))
    findings = tuple(
        _untrained(label) if label in untrained else _finding(label, point, probabilities, index)
        for index, (label, point) in enumerate(zip(labels, operating_points, strict=True))
    )
    priority, reason = _priority(findings, rule)
    margins = [finding.margin for finding in findings if finding.label in rule.labels]
    return TriageResult(priority, reason, max((one for one in margins if one is not None), default=None), findings)


def _check(probabilities: Probabilities, count: int) -> None:
    branches = (probabilities.fusion, probabilities.global_, probabilities.local)
    for values in (branch for branch in branches if branch is not None):
        if values.shape != (count,):
            raise InferenceFailed(f"expected an output of shape ({count},), got {values.shape}")
        if not np.all((values >= 0) & (values <= 1)):  # also refuses NaN
            raise InferenceFailed("the network returned a probability that is not a number in [0, 1]")


def _finding(label: str, point: OperatingPoint | None, probabilities: Probabilities, index: int) -> Finding:
    probability = float(probabilities.fusion[index])
    return Finding(
        label=label,
        probability=probability,
        global_=float(probabilities.global_[index]),
        local=None if probabilities.local is None else float(probabilities.local[index]),
        threshold=None if point is None else point.threshold,
        positive=None if point is None else probability >= point.threshold,
        sensitivity=None if point is None else point.sensitivity,
        specificity=None if point is None else point.specificity,
    )


def _untrained(label: str) -> Finding:
    return Finding(
        label=label,
        probability=None,
        global_=None,
        local=None,
        threshold=None,
        positive=None,
        sensitivity=None,
        specificity=None,
    )


def _priority(findings: Sequence[Finding], rule: Rule) -> tuple[Priority, tuple[str, ...]]:
    positive = [finding.label for finding in findings if finding.positive]
    if stat := tuple(label for label in positive if label in rule.stat):
        return "STAT", stat
    if high := tuple(label for label in positive if label in rule.high):
        return "HIGH", high
    return "ROUTINE", ()

"""A finding: the probability of one label, and whether it is positive at the operating point."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result for one label.

    Attributes
    ----------
    probability
        Calibrated probability of the fusion branch, in [0, 1].
    global_, local
        Calibrated probabilities of the two other branches, in [0, 1].
    threshold, positive, sensitivity, specificity
        The operating point, and whether the probability reaches its threshold. None without an operating point; the
        finding then takes no part in the priority.
    """

    label: str
    probability: float
    global_: float
    local: float
    threshold: float | None
    positive: bool | None
    sensitivity: float | None
    specificity: float | None

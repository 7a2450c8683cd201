"""A finding: what the network's probability for one label means at its operating point."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The answer for one label.

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

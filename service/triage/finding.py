"""A finding: the probability of one label, and whether it is positive at the operating point."""

from dataclasses import dataclass

from service.artefact.card import LabelCodes


@dataclass(frozen=True)
class Finding:
    """The result for one label.

    Attributes
    ----------
    probability
        Calibrated probability of the fusion branch, in [0, 1]; None for a label that training never saw.
    global_, local
        Calibrated probabilities of the two other branches, in [0, 1]; None where `probability` is, and `local` is None
        without a second look.
    threshold, positive, sensitivity, specificity
        The operating point, and whether the probability reaches its threshold. None without an operating point; the
        finding then takes no part in the priority.
    codes
        Codes of the site or the artefact when the prediction was made; None for those of `objects.codes`.
    """

    label: str
    probability: float | None
    global_: float | None
    local: float | None
    threshold: float | None
    positive: bool | None
    sensitivity: float | None
    specificity: float | None
    codes: LabelCodes | None = None

"""A finding: the probability of one label, and whether it is positive at the operating point."""

import math
from dataclasses import dataclass

from service.artefact.card import LabelCodes

_RESOLUTION = 1e-7  # about the spacing of float32 below 1; keeps the logit of a saturated output finite


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
    map_reference
        Value of the class map that pictures draw with half of their opacity, in logits
        (`statistics.class_map_quantile` of the card); None from artefacts that have none.
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
    map_reference: float | None = None

    @property
    def margin(self) -> float | None:
        """logit(probability) - logit(threshold); None without a probability or an operating point."""
        if self.probability is None or self.threshold is None:
            return None
        return _logit(self.probability) - _logit(self.threshold)


def _logit(probability: float) -> float:
    clipped = min(max(probability, _RESOLUTION), 1 - _RESOLUTION)
    return math.log(clipped / (1 - clipped))

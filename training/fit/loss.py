"""What is learned: binary cross-entropy over what is known."""

import torch
from torch import Tensor, nn

from training.data.sample import Floats
from training.fit.config import TrainConfig

HEAVIEST = 20.0  # a positive weight beyond this makes one rare positive outweigh a batch


class Loss:
    """The loss of a run: its targets with or without No Finding, its labels weighed or not.

    Attributes
    ----------
    targets
        [N, K] what the training images teach every output, NaN unknown.
    """

    def __init__(self, targets: Floats, config: TrainConfig, device: torch.device | None = None) -> None:
        self.no_finding = config.no_finding
        self.targets = self.extended(torch.from_numpy(targets))
        self.weight = positive_weights(self.targets).to(device) if config.positive_weight else None

    def __call__(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Of logits [B, K] and the data's targets [B, 14], as `masked_loss`."""
        return masked_loss(logits, self.extended(target), self.weight)

    def extended(self, target: Tensor) -> Tensor:
        """The targets of every output."""
        return with_no_finding(target) if self.no_finding else target


def masked_loss(logits: Tensor, target: Tensor, positive_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy of what is known, i.e. not NaN: Eq. 2 before its mean.

    Parameters
    ----------
    logits, target
        [B, K]; targets in [0, 1].
    positive_weight
        [K], or None for the plain loss.

    Returns
    -------
    The sum, and the number of targets it is over, both scalars; the mean over several processes needs the two apart.
    The sum of nothing is 0, and its gradient too.
    """
    known = ~target.isnan()
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, target.nan_to_num(), reduction="none", pos_weight=positive_weight
    )
    return losses.where(known, 0).sum(), known.sum()


def positive_weights(targets: Tensor) -> Tensor:
    """Negatives to one positive of every label of [N, K], at least 1 / 20 and at most 20; half a case added to both."""
    positive, negative = targets.nansum(0) + 0.5, (1 - targets).nansum(0) + 0.5
    return (negative / positive).clamp(1 / HEAVIEST, HEAVIEST)


def with_no_finding(target: Tensor) -> Tensor:
    """[B, 14] to [B, 15]: the last is 1 where all others are known to be 0, 0 where one is 1, else NaN."""
    any_present = (target == 1).any(1)
    none_present = (target == 0).all(1)
    unknown = torch.full_like(target[:, 0], torch.nan)
    last = torch.where(any_present, 0.0, torch.where(none_present, 1.0, unknown))
    return torch.cat([target, last[:, None]], 1)

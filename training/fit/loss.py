"""The loss: binary cross-entropy over the known targets."""

import torch
from torch import Tensor, nn

from training.data.sample import Floats
from training.fit.config import TrainConfig

MAX_WEIGHT = 20.0  # with a larger weight, one positive of a rare finding dominates a batch


class Loss:
    """The loss of a run, with or without No Finding, with or without weights for positives.

    Attributes
    ----------
    targets
        `[N, K] float32` targets of the training images for every output, NaN where unknown.
    """

    def __init__(self, targets: Floats, config: TrainConfig, device: torch.device | None = None) -> None:
        self.no_finding = config.no_finding
        self.targets = self.extended(torch.from_numpy(targets))
        self.weight = positive_weights(self.targets).to(device) if config.positive_weight else None

    def __call__(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Compute `masked_loss` of logits `[B, K]` and the data's targets, one for each label."""
        return masked_loss(logits, self.extended(target), self.weight)

    def extended(self, target: Tensor) -> Tensor:
        """Return the targets `[N, K]` of every output from the data's targets, one for each label."""
        return with_no_finding(target) if self.no_finding else target


def masked_loss(logits: Tensor, target: Tensor, positive_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sum the binary cross-entropy over the known targets, i.e. those that are not NaN: Eq. 2 without the mean.

    Parameters
    ----------
    logits, target
        `[B, K] float32`; targets in [0, 1].
    positive_weight
        `[K] float32`, or None for equal weights.

    Returns
    -------
    loss, count
        Sum of the losses and number of known targets, both `[]`; the mean over several processes needs both. Without
        known targets the sum and its gradient are 0.
    """
    known = ~target.isnan()
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, target.nan_to_num(), reduction="none", pos_weight=positive_weight
    )
    return losses.where(known, 0).sum(), known.sum()


def positive_weights(targets: Tensor) -> Tensor:
    """Return negatives per positive `[K]` of targets `[N, K]`, half a case added to both, between 1 / 20 and 20."""
    positive, negative = targets.nansum(0) + 0.5, (1 - targets).nansum(0) + 0.5
    return (negative / positive).clamp(1 / MAX_WEIGHT, MAX_WEIGHT)


def with_no_finding(target: Tensor) -> Tensor:
    """Append No Finding to targets `[B, K]`: `[B, K + 1]`; 1 where all others are 0, 0 where one is 1, else NaN."""
    any_present = (target == 1).any(1)
    none_present = (target == 0).all(1)
    unknown = torch.full_like(target[:, 0], torch.nan)
    last = torch.where(any_present, 0.0, torch.where(none_present, 1.0, unknown))
    return torch.cat([target, last[:, None]], 1)

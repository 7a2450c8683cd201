"""The fusion of both branches."""

import torch
from torch import Tensor, nn


class Fusion(nn.Module):
    """One linear layer on the pooled vectors of both branches.

    Parameters
    ----------
    channels
        C, the number of channels of each branch.
    findings
        K, the number of logits.
    """

    def __init__(self, channels: int, findings: int = 14) -> None:
        super().__init__()
        self.classifier = nn.Linear(2 * channels, findings)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, pooled_global: Tensor, pooled_local: Tensor) -> Tensor:
        """Map two `[B, C]` to logits `[B, K]`."""
        logits: Tensor = self.classifier(torch.cat([pooled_global, pooled_local], 1))
        return logits

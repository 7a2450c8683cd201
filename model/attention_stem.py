"""The attention stem (Ramachandran et al., NeurIPS 2019), which replaces ResNet's 7 × 7 convolution.

Neighbouring pixels are similar, so that attention to content alone cannot detect edges. Therefore the values depend on
the position of a pixel in its window: each is a mixture of M projections, weighted by the position,

    v_ab = (Σ_m p(a, b, m) W_V^m) x_ab,    p(a, b, m) = softmax_m((row(a) + column(b)) · ν_m)

Attention is inside each 4 × 4 window of the max pool that follows, not across. The logits are q · k: the paper gives
the stem no relative embedding.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

CHANNELS = 64
HEADS = 4
WINDOW = 4  # side, of the attention and of the max pool
MIXTURES = 4  # M, which the paper does not give; 4 as in the public implementation of leaderj1001


class StemAttention(nn.Module):
    """Attention inside each window of 4 × 4 pixels, with values that depend on the position."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        depth = CHANNELS // HEADS
        self.query = nn.Linear(channels, CHANNELS, bias=False)
        self.key = nn.Linear(channels, CHANNELS, bias=False)
        self.values = nn.Parameter(torch.randn(MIXTURES, CHANNELS, channels) * channels**-0.5)
        self.rows = nn.Parameter(torch.randn(WINDOW, CHANNELS))
        self.columns = nn.Parameter(torch.randn(WINDOW, CHANNELS))
        self.mixtures = nn.Parameter(torch.randn(MIXTURES, CHANNELS) * CHANNELS**-0.5)
        # The equation has no 1 / √d; the initial queries contain it.
        nn.init.normal_(self.query.weight, std=(channels * depth) ** -0.5)
        nn.init.normal_(self.key.weight, std=channels**-0.5)

    def forward(self, image: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to `[B, 64, H, W]`; rows and columns beyond the last whole window are dropped."""
        grid = (image.shape[2] // WINDOW, image.shape[3] // WINDOW)
        x = image[:, :, : WINDOW * grid[0], : WINDOW * grid[1]]
        x = torch.unflatten(torch.unflatten(x, 3, (grid[1], WINDOW)), 2, (grid[0], WINDOW))
        # [B, C, rows, 4, columns, 4]
        x = x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)  # [B, n, 16, C]
        q, k, v = (split(part) for part in (self.query(x), self.key(x), self.value(x)))
        y = (q @ k.transpose(3, 4)).softmax(4) @ v  # [B, n, heads, 16, d]
        y = y.permute(0, 1, 3, 2, 4).flatten(3)  # [B, n, 16, 64]
        y = torch.unflatten(torch.unflatten(y, 2, (WINDOW, WINDOW)), 1, grid)
        return y.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)

    def value(self, x: Tensor) -> Tensor:
        """Project pixels `[B, n, 16, C]` by their position: `[B, n, 16, 64]`."""
        place = (self.rows[:, None] + self.columns).flatten(0, 1)  # [16, 64]
        mixture = (place @ self.mixtures.T).softmax(1)  # p, [16, M]
        weight = torch.unflatten(mixture @ self.values.flatten(1), 1, self.values.shape[1:])  # [16, 64, C]
        return (x[..., None, :] * weight).sum(4)


def split(x: Tensor) -> Tensor:
    """Split channels into heads: `[B, n, 16, 64]` to `[B, n, heads, 16, d]`."""
    return torch.unflatten(x, 3, (HEADS, CHANNELS // HEADS)).transpose(2, 3)


def attention_stem() -> OrderedDict[str, nn.Module]:
    """Map `[B, 1, H, W]` to `[B, 64, H / 4, W / 4]`."""
    return OrderedDict(attention=StemAttention(), bn1=nn.BatchNorm2d(CHANNELS), maxpool=nn.MaxPool2d(WINDOW))

"""Stand-alone self-attention (Ramachandran et al., NeurIPS 2019, arXiv:1906.05909), in place of a 3 × 3 convolution.

Each position asks its k × k neighbourhood, by content and by relative place (Eq. 3):

    y_ij = Σ_ab softmax_ab(q_ij · k_ab + q_ij · r_{a−i, b−j}) v_ab

The paper does not say what becomes of a neighbour outside the map. Here it is masked out: attention at the border is
shared among the positions that there are.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention_stem import attention_stem
from model.resnet import Spatial, convolution, resnet50

SIZE = 7  # k
HEADS = 8
DENSE = 14  # longest side of a map on which every position is compared with every other one
BLOCK = 7  # side of the blocks that larger maps are cut into; 7 divides the maps of 224 and 448 pixels
OUTSIDE = -10_000.0  # a logit that softmax makes zero; its double still fits into float16


class Reach(NamedTuple):
    """Along one side of the map: `offset [a, u]` in [0, k), each pair's embedding; `mask [n, a, u]`, 0 or `OUTSIDE`."""

    offset: Tensor
    mask: Tensor


class SelfAttention(nn.Module):
    """Attention of every position to its k × k neighbourhood, each head with its own logits.

    Maps up to `DENSE` are one masked product of all positions with all positions; larger ones are cut into blocks, and
    each block is compared with itself and a halo of k // 2 around it. Both give the same.

    Parameters
    ----------
    channels
        Of input and output, a multiple of `2 * heads`.
    size
        k, odd.

    Raises
    ------
    ValueError
        Channels or size do not fit.
    """

    def __init__(self, channels: int, size: int = SIZE, heads: int = HEADS) -> None:
        super().__init__()
        if channels % (2 * heads):
            raise ValueError(f"channels must be a multiple of {2 * heads}, got {channels}")
        if size % 2 != 1:
            raise ValueError(f"size must be odd, got {size}")
        self.size, self.heads, self.depth = size, heads, channels // heads
        # Full 1 × 1 projections, not one for each group of channels: only these give the paper's 18.0 M parameters.
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        # r: one half of a head's depth for the row's offset, the other for the column's.
        self.rows = nn.Parameter(torch.randn(heads, self.depth // 2, size))
        self.columns = nn.Parameter(torch.randn(heads, self.depth // 2, size))
        # Eq. 3 has no 1 / √d. It is in the first queries instead, or the softmax would begin as a choice of one.
        nn.init.normal_(self.query.weight, std=(channels * self.depth) ** -0.5)
        nn.init.normal_(self.key.weight, std=channels**-0.5)
        nn.init.normal_(self.value.weight, std=channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, h, w]` to `[B, C, h, w]`."""
        height, width = x.shape[2:]
        x = x.permute(0, 2, 3, 1)
        whole = self.dense if max(height, width) <= DENSE else self.halo
        return whole(self.query(x), self.key(x), self.value(x)).permute(0, 3, 1, 2)

    def dense(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Compare all with all: queries, keys and values `[B, h, w, C]` to `[B, h, w, C]`."""
        height, width = q.shape[1:3]
        start = torch.zeros(1, dtype=torch.int64, device=q.device)
        rows = reach(start, (height, height), self.size, height)
        columns = reach(start, (width, width), self.size, width)
        return self.attend(q[:, None], k[:, None], v[:, None], rows, columns)[:, 0]

    def halo(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Compare each block with its surroundings: queries, keys and values `[B, h, w, C]` to `[B, h, w, C]`.

        A map whose side is no multiple of the block is padded; what lies outside is masked out and cut off again.
        """
        height, width = q.shape[1:3]
        grid = (-(-height // BLOCK), -(-width // BLOCK))
        right, below = grid[1] * BLOCK - width, grid[0] * BLOCK - height
        around = self.size // 2
        q = functional.pad(q, (0, 0, 0, right, 0, below))
        k, v = (functional.pad(one, (0, 0, around, around + right, around, around + below)) for one in (k, v))
        number = torch.arange(grid[0] * grid[1], device=q.device)
        sides = (BLOCK, BLOCK + 2 * around)
        rows = reach(number // grid[1] * BLOCK, sides, self.size, height)
        columns = reach(number % grid[1] * BLOCK, sides, self.size, width)
        y = self.attend(windows(q, grid, BLOCK), windows(k, grid, sides[1]), windows(v, grid, sides[1]), rows, columns)
        y = torch.unflatten(y, 1, grid).transpose(2, 3)  # [B, rows, 7, columns, 7, C]
        return y.flatten(3, 4).flatten(1, 2)[:, :height, :width]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, rows: Reach, columns: Reach) -> Tensor:
        """Eq. 3 in each of n windows.

        Parameters
        ----------
        q
            `[B, n, a, b, C]`.
        k, v
            `[B, n, u, w, C]`.
        rows, columns
            From a to u and from b to w.

        Returns
        -------
        Tensor
            `[B, n, a, b, C]`.
        """
        grid = q.shape[2:4]
        q = self.split(q)  # [B, n, heads, a, b, d]
        keys, values = self.split(k).flatten(3, 4), self.split(v).flatten(3, 4)
        by_row, by_column = q.chunk(2, 5)
        row = by_row @ self.rows[..., rows.offset].transpose(1, 2)  # [B, n, heads, a, b, u]
        column = by_column.transpose(3, 4) @ self.columns[..., columns.offset].transpose(1, 2)
        row = row + rows.mask[:, None, :, None].to(row.dtype)
        column = column.transpose(3, 4) + columns.mask[:, None, None].to(column.dtype)  # [B, n, heads, a, b, w]
        place = (row[..., None] + column[..., None, :]).flatten(5, 6).flatten(3, 4)
        logits = q.flatten(3, 4) @ keys.transpose(3, 4) + place  # [B, n, heads, ab, uw]
        y = (logits.softmax(4) @ values).permute(0, 1, 3, 2, 4)
        return torch.unflatten(y.flatten(3), 2, tuple(grid))

    def split(self, x: Tensor) -> Tensor:
        """Split channels into heads: `[B, n, a, b, C]` to `[B, n, heads, a, b, C / heads]`."""
        return torch.unflatten(x, 4, (self.heads, self.depth)).permute(0, 1, 4, 2, 3, 5)


def reach(start: Tensor, sides: tuple[int, int], size: int, length: int) -> Reach:
    """Which of a window's keys each query may see along one side.

    Parameters
    ----------
    start
        `[n]`, first query's place in the map, of each window.
    sides
        How many queries and keys a window has; the keys reach as far beyond the queries on either side.
    size
        k of the neighbourhood.
    length
        Of the map: there are keys from 0 to `length - 1` only.
    """
    queries, keys = (torch.arange(side, device=start.device) for side in sides)
    keys = keys - (sides[1] - sides[0]) // 2
    offset = keys - queries[:, None]  # [a, u]
    near = offset.abs() <= size // 2
    place = start[:, None] + keys  # [n, u]
    there = (place >= 0) & (place < length)
    mask = torch.where(near & there[:, None], 0.0, OUTSIDE)
    return Reach(offset.clamp(-(size // 2), size // 2) + size // 2, mask)


def windows(x: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    """Cut out a window each `BLOCK` rows and columns: `[B, H, W, C]` to `[B, n, side, side, C]`, n over the grid."""
    x = torch.stack([x[:, BLOCK * row : BLOCK * row + side] for row in range(grid[0])], 1)
    x = torch.stack([x[:, :, :, BLOCK * column : BLOCK * column + side] for column in range(grid[1])], 2)
    return x.flatten(1, 2)


def attention(channels: int, stride: int) -> nn.Module:
    """What stands for the 3 × 3 of a block: the layer, and a 2 × 2 average pool directly after it where stride is 2.

    An odd side is rounded up, as the shortcut's strided 1 × 1 does; the last window then averages what there is.
    """
    if stride == 1:
        return SelfAttention(channels)
    pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(SelfAttention(channels), pool)


def sasa_resnet50() -> nn.Sequential:
    """ResNet-50 without a spatial convolution: attention stem, attention in all four groups."""
    return resnet50(attention_stem, (attention,) * 4)


def sasa_conv_stem_resnet50() -> nn.Sequential:
    """ResNet-50 with its convolution stem and attention in all four groups."""
    return resnet50(spatials=(attention,) * 4)


def hybrid_resnet50() -> nn.Sequential:
    """ResNet-50 with convolution in groups 1 and 2 and attention in 3 and 4, the paper's best placement.

    Published weights of `resnet50` load for everything but the attention.
    """
    spatials: tuple[Spatial, ...] = (convolution, convolution, attention, attention)
    return resnet50(spatials=spatials)

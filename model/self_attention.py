"""Stand-alone self-attention (Ramachandran et al., NeurIPS 2019, arXiv:1906.05909), in place of a 3 × 3 convolution.

Each position attends to its k × k neighbourhood, by content and by relative position (Eq. 3):

    y_ij = Σ_ab softmax_ab(q_ij · k_ab + q_ij · r_{a−i, b−j}) v_ab

The paper does not specify neighbours outside the map. Here they are masked, so that attention at the border is
distributed over the positions inside.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention_stem import attention_stem
from model.resnet import Spatial, convolution, resnet50

SIZE = 7  # k
HEADS = 8
DENSE = 14  # largest side of a map for which all pairs of positions are computed
BLOCK = 7  # side of the blocks of larger maps; 7 divides the sides of the maps of 224 and 448 pixels
OUTSIDE = -10_000.0  # logit with a softmax of zero; twice its value still fits into float16


class Reach(NamedTuple):
    """Pairs of query and key along one side: `offset [a, u]` in [0, k), index of the embedding; `mask [n, a, u]`."""

    offset: Tensor
    mask: Tensor


class SelfAttention(nn.Module):
    """Attention of every position to its k × k neighbourhood, with separate logits for each head.

    For maps up to `DENSE` all pairs of positions are computed and masked; larger maps are divided into blocks, and each
    block attends to itself and a halo of k // 2 around it. The results are equal.

    Parameters
    ----------
    channels
        Number of channels of input and output, a multiple of `2 * heads`.
    size
        Side k of the neighbourhood, odd.

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
        # Full 1 × 1 projections, not grouped ones: only these give the paper's 18.0 M parameters.
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        # r: one half of a head's depth for the row's offset, the other for the column's.
        self.rows = nn.Parameter(torch.randn(heads, self.depth // 2, size))
        self.columns = nn.Parameter(torch.randn(heads, self.depth // 2, size))
        # Eq. 3 has no 1 / √d; the initial queries contain it, or the softmax would be saturated at the start.
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
        """Attend over all pairs of positions: queries, keys and values `[B, h, w, C]` to `[B, h, w, C]`."""
        height, width = q.shape[1:3]
        start = torch.zeros(1, dtype=torch.int64, device=q.device)
        rows = reach(start, (height, height), self.size, height)
        columns = reach(start, (width, width), self.size, width)
        return self.attend(q[:, None], k[:, None], v[:, None], rows, columns)[:, 0]

    def halo(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from each block to its surroundings: queries, keys and values `[B, h, w, C]` to `[B, h, w, C]`.

        A map whose side is not a multiple of the block is padded; the padding is masked and removed afterwards.
        """
        height, width = q.shape[1:3]
        grid = (-(-height // BLOCK), -(-width // BLOCK))
        right, below = grid[1] * BLOCK - width, grid[0] * BLOCK - height
        around = self.size // 2
        q = functional.pad(q, (0, 0, 0, right, 0, below))
        k, v = (functional.pad(part, (0, 0, around, around + right, around, around + below)) for part in (k, v))
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
            Pairs of a and u, and of b and w.

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
    """Return which keys of a window each query attends to along one side.

    Parameters
    ----------
    start
        `[n] int64`, position of each window's first query in the map.
    sides
        Numbers of queries and of keys of a window; the keys extend equally beyond the queries at both ends.
    size
        Side k of the neighbourhood.
    length
        Side of the map: keys exist from 0 to `length - 1`.
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
    """Return the layer in place of a block's 3 × 3, followed by a 2 × 2 average pool if the stride is 2.

    An odd side is rounded up, as in the shortcut's strided 1 × 1; the last window then averages fewer values.
    """
    if stride == 1:
        return SelfAttention(channels)
    pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(SelfAttention(channels), pool)


def sasa_resnet50() -> nn.Sequential:
    """Build ResNet-50 without spatial convolutions: attention stem, and attention in all four groups."""
    return resnet50(attention_stem, (attention,) * 4)


def sasa_conv_stem_resnet50() -> nn.Sequential:
    """Build ResNet-50 with its convolution stem and attention in all four groups."""
    return resnet50(spatials=(attention,) * 4)


def hybrid_resnet50() -> nn.Sequential:
    """Build ResNet-50 with convolution in groups 1 and 2 and attention in 3 and 4, the paper's best placement.

    Published weights of `resnet50` load for everything except the attention.
    """
    spatials: tuple[Spatial, ...] = (convolution, convolution, attention, attention)
    return resnet50(spatials=spatials)

"""The attended region: bounding box of the largest connected component of the upsampled heat map.

The paper upsamples the map to 224 × 224, thresholds it and labels pixels. The components of a bilinear surface above τ
can be found exactly on the grid instead, cell by cell. This takes only tensor arithmetic, without loops or branches on
data, and treats each image independently. `excess` below is the map minus τ, so that "above" means "positive".
"""

from math import ceil, log2

import torch
from torch import Tensor
from torch.nn import functional

# Side of the raster on which components are compared by area: the paper's input.
RASTER = 224


def region(heat: Tensor, tau: float = 0.7) -> Tensor:
    """Find the box of the largest component above `tau` (Eq. 4 and the text after it).

    Parameters
    ----------
    heat
        `[B, h, w] float32 in [0, 1]`, value at the centre of each of h × w cells of the canvas.
    tau
        Threshold τ; values equal to τ are not above it.

    Returns
    -------
    Tensor
        `[B, 4] float32`, (x0, y0, x1, y1) in [0, 1] of the canvas, exclusive end; the whole canvas where nothing is
        above.
    """
    excess = heat.float() - tau
    reached = _reachable(_joined(excess))  # [B, hw, hw]
    component = _largest(reached, _area(excess), excess.flatten(1) > 0).view(heat.shape)
    left, right = _extent(excess, component)
    top, bottom = _extent(excess.transpose(1, 2), component.transpose(1, 2))
    box = torch.stack([left, top, right, bottom], 1)
    return torch.where(component.any(2).any(1)[:, None], box, box.new_tensor([0.0, 0.0, 1.0, 1.0]))


def _joined(excess: Tensor) -> Tensor:
    """Return which nodes above the threshold are joined: `[B, h, w]` to `[B, hw, hw] bool`, symmetric, reflexive."""
    _, h, w = excess.shape
    node = torch.arange(h * w, device=excess.device)
    row, column = node // w, node % w
    down, across = row[None] - row[:, None], column[None] - column[:, None]  # [hw, hw], from p to q
    above = (excess > 0).flatten(1)
    joined = (down.abs() + across.abs() <= 1) & above[:, :, None]
    # Corners a b / c d: a and d are joined through the cell where its saddle (ad - bc) / (a + d - b - c) is above τ,
    # which is (a - τ)(d - τ) > (b - τ)(c - τ) without the division.
    padded = functional.pad(excess, (1, 1, 0, 1))
    here, below = padded[:, :-1], padded[:, 1:]
    saddle = (here[:, :, 1:-1] * below[:, :, 2:] > here[:, :, 2:] * below[:, :, 1:-1]).flatten(1)
    joined = joined | (((down == 1) & (across == 1)) & (above & saddle)[:, :, None])
    saddle = (here[:, :, 1:-1] * below[:, :, :-2] > here[:, :, :-2] * below[:, :, 1:-1]).flatten(1)
    joined = joined | (((down == 1) & (across == -1)) & (above & saddle)[:, :, None])
    joined = joined & above[:, None, :]
    return joined | joined.transpose(1, 2)


def _reachable(joined: Tensor) -> Tensor:
    """Transitive closure of `[B, n, n]` by ⌈log₂ n⌉ squarings: float32, 0 or 1."""
    reached = joined.float()
    for _ in range(ceil(log2(max(joined.shape[-1], 2)))):
        reached = (reached @ reached).clamp(max=1)
    return reached


def _area(excess: Tensor) -> Tensor:
    """Count, for each node, the pixels of the upsampled map above the threshold: `[B, h, w]` to `[B, hw]` float32.

    Along a line of pixels the map is linear between columns, so the count follows from where the line crosses the
    threshold. The pixels of a line are assigned to the node above or below it that contributes more excess. So two
    diagonal corners that are not joined share no pixel, as the map is not above τ where both contribute equally.
    """
    h = excess.shape[1]
    y = ((torch.arange(RASTER, dtype=excess.dtype, device=excess.device) + 0.5) * (h / RASTER) - 0.5).clamp(0, h - 1)
    upper = y.floor()
    weight = (y - upper)[:, None]
    lower = (upper + 1).clamp(max=h - 1)
    lift_up = excess.index_select(1, upper.long()) * (1 - weight)  # [B, 224, w]
    lift_down = excess.index_select(1, lower.long()) * weight
    pixels = _pixels(lift_up + lift_down)
    down = lift_down > lift_up
    nearest = torch.where(down, lower[:, None], upper[:, None])  # [B, 224, w]
    own = nearest[:, None] == torch.arange(h, device=excess.device)[:, None, None]  # [B, h, 224, w]
    # A sum instead of a matrix product, which may be rounded to TF32 or bfloat16, so that counts are exact.
    return (own * pixels[:, None]).sum(2).flatten(1)


def _pixels(lines: Tensor) -> Tensor:
    """Count, per line, the pixels above the threshold that belong to each column: `[B, n, w]`, 0 if it is below."""
    w = lines.shape[2]
    centre = torch.arange(w, dtype=lines.dtype, device=lines.device) + 0.5
    start, end = centre - _reach(lines.flip(2)).flip(2), centre + _reach(lines)
    count = (end * (RASTER / w) - 0.5).floor() - (start * (RASTER / w) - 0.5).floor()
    return count * (lines > 0)


def _largest(reached: Tensor, area: Tensor, above: Tensor) -> Tensor:
    """Return the nodes of the component with most pixels, the first of equals: `[B, hw] bool`, maybe empty."""
    # A sum for the same reason as in `_area`.
    total = (reached * area[:, None, :]).sum(2) + 1  # + 1, so that a peak between pixel centres counts too
    best = (total * above).argmax(1)
    nodes = torch.arange(area.shape[1], device=area.device)
    row = (reached * (nodes == best[:, None])[:, :, None]).sum(1)
    return (row > 0) & above


def _extent(excess: Tensor, component: Tensor) -> tuple[Tensor, Tensor]:
    """Return the minimum and maximum of a component along the last axis, `[B]` each, in [0, 1].

    They lie on grid lines, where the map crosses the threshold linearly; at the border the component extends half a
    cell further.
    """
    w = excess.shape[2]
    centre = torch.arange(w, dtype=excess.dtype, device=excess.device) + 0.5
    left = (centre - _reach(excess.flip(2)).flip(2)).masked_fill(~component, w)
    right = (centre + _reach(excess)).masked_fill(~component, 0)
    return left.amin((1, 2)) / w, right.amax((1, 2)) / w


def _reach(excess: Tensor) -> Tensor:
    """Return how far the map stays above the threshold to the right of each node, in cells: `[B, n, w] in [0, 1]`.

    The value is half a cell if the right neighbour is above too, or at the border.
    """
    here, following = excess[:, :, :-1], excess[:, :, 1:]
    crosses = (here > 0) & (following <= 0)
    reach = torch.where(crosses, here / torch.where(crosses, here - following, 1.0), 0.5)
    return functional.pad(reach, (0, 1), value=0.5)

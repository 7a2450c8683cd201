"""The crop: the attended region, resampled from the canvas."""

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional


def crop(canvas: Tensor, box: Tensor, size: int) -> Tensor:
    """Resample the box of each canvas to `size` × `size`.

    The crop is sampled bilinearly on a grid twice as fine as the result and averaged 2 × 2; if the canvas is more than
    four times the size, the grid is finer, so that samples are at most two canvas pixels apart. The quality of the
    antialiasing depends on the box. If the box is the whole canvas at 2, 4, 8, 16 … times the size, the result is its
    exact area average. For boxes up to half the side of a canvas of four times the size, samples are at most one pixel
    apart, and all pixels have about equal weight; for larger boxes they are up to two apart, and detail of one or two
    canvas pixels is averaged unevenly. A box with as many pixels as the result is smoothed slightly (weights 1/8, 3/4,
    1/8 along each side); a smaller one is interpolated. Samples within half a pixel of the canvas's edge take the value
    of its outermost pixel.

    Parameters
    ----------
    canvas
        `[B, 1, S, S] float32`.
    box
        `[B, 4] float32`, (x0, y0, x1, y1) in [0, 1] of the canvas.
    size
        Side of the result, pixels.

    Returns
    -------
    Tensor
        `[B, 1, size, size] float32`, in the range of the canvas.
    """
    fine = max(2, ceil(canvas.shape[-1] / (2 * size)))
    steps = (torch.arange(fine * size, dtype=box.dtype, device=box.device) + 0.5) / (fine * size)  # [n]
    x0, y0, x1, y1 = box[:, :, None].unbind(1)  # [B, 1] each
    x, y = (2 * (low + (high - low) * steps) - 1 for low, high in ((x0, x1), (y0, y1)))  # [B, n], -1 to 1
    square = (-1, fine * size, fine * size)
    grid = torch.stack([x[:, None, :].expand(square), y[:, :, None].expand(square)], -1)  # [B, n, n, 2]
    samples = functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return functional.avg_pool2d(samples, fine)

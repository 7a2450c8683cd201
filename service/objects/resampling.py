"""Maps of the network on the radiograph's own grid: [h, w] float in [0, 1] -> [H, W].

All functions take the size of the radiograph, (W, H), and the part of the map that it covers, (x0, y0, x1, y1) in
[0, 1]: not all of a padded canvas.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Content = tuple[float, float, float, float]

WHOLE = (0.0, 0.0, 1.0, 1.0)
# Multiplications at a time. What is computed of the rows stays in the processor's cache, and OpenBLAS divides products
# of more than 262,144 among threads, which then wait for one another on a busy machine.
_STRIP = 250_000
_Map = npt.NDArray[np.floating]
_Weights = Callable[[int, int, tuple[float, float]], npt.NDArray[np.float64]]


def upsampled(heat: _Map, size: tuple[int, int], content: Content) -> npt.NDArray[np.float32]:
    """Resize a map to float32 in [0, 1], bilinear with half-pixel centres, like the region."""
    return _collected(_strips(heat, size, content, _triangles), size)


def smoothed(heat: _Map, size: tuple[int, int], content: Content) -> npt.NDArray[np.float32]:
    """Resize a map to float32 in [0, 1] by quadratic B-splines.

    Bilinear interpolation has creases along the grid, which look like outlines.
    """
    return _collected(_strips(heat, size, content, _splines), size)


def levels(heat: _Map, size: tuple[int, int], content: Content, highest: int) -> npt.NDArray[np.uint8]:
    """Resize a map as `upsampled`, and round it to whole numbers from 0 to `highest`."""
    whole = np.empty(size[::-1], np.uint8)
    for rows, values in _strips(heat, size, content, _triangles):
        whole[rows] = np.rint(np.multiply(values, highest, out=values), out=values)
    return whole


def mask(heat: _Map, size: tuple[int, int], content: Content, threshold: float) -> npt.NDArray[np.bool_]:
    """Resize a map as `upsampled`, and return where it is at or above a threshold."""
    whole = np.empty(size[::-1], np.bool_)
    for rows, values in _strips(heat, size, content, _triangles):
        np.greater_equal(values, threshold, out=whole[rows])
    return whole


def _strips(
    heat: _Map, size: tuple[int, int], content: Content, weights: _Weights
) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
    down = weights(size[1], heat.shape[0], (content[1], content[3])).astype(np.float32)
    across = (heat @ weights(size[0], heat.shape[1], (content[0], content[2])).T).astype(np.float32)
    count = max(1, _STRIP // across.size)
    for top in range(0, size[1], count):
        rows = slice(top, top + count)
        values: npt.NDArray[np.float32] = down[rows] @ across
        yield rows, np.clip(values, 0, 1, out=values)


def _collected(
    strips: Iterator[tuple[slice, npt.NDArray[np.float32]]], size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    whole = np.empty(size[::-1], np.float32)
    for rows, values in strips:
        whole[rows] = values
    return whole


def _triangles(count: int, cells: int, part: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Share of each cell in each pixel, [count, cells], with antialiasing where there are fewer pixels than cells."""
    reach = max(1.0, (part[1] - part[0]) * cells / count)
    shares = np.maximum(0, 1 - np.abs(_places(count, cells, part)[:, None] - np.arange(cells)) / reach)
    weights: npt.NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
    return weights


def _splines(count: int, cells: int, part: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Share of each cell in each pixel, [count, cells]; the cells at the edge are repeated beyond it."""
    places = _places(count, cells, part)
    nearest = np.floor(places + 0.5).astype(np.intp)
    offset = places - nearest
    weights = np.zeros((count, cells))
    shares = (0.5 - offset) ** 2 / 2, 0.75 - offset**2, (0.5 + offset) ** 2 / 2
    for step, share in zip((-1, 0, 1), shares, strict=True):
        weights[np.arange(count), np.clip(nearest + step, 0, cells - 1)] += share
    return weights


def _places(count: int, cells: int, part: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Centres of `count` pixels, in cells from the centre of the first cell."""
    places: npt.NDArray[np.float64] = (part[0] + (np.arange(count) + 0.5) / count * (part[1] - part[0])) * cells - 0.5
    return places

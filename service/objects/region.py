"""The region of attention on the radiograph's own grid: the part of the heat map that the box encloses."""

import numpy as np
import numpy.typing as npt

from service.objects.overlay import Box
from service.objects.resampling import Content, mask

THRESHOLD = 0.7  # share of the map's maximum, Eq. 4

Mask = npt.NDArray[np.bool_]


def region(heat: npt.NDArray[np.floating], size: tuple[int, int], content: Content, box: Box) -> Mask:
    """Return the component of a heat map, [h, w] float in [0, 1], that gave the box; [H, W] bool.

    Components are 8-connected parts of the map at or above `THRESHOLD`. They are those of the whole canvas: where a
    padded canvas is larger than the radiograph, its edge may cut a component in two. A map without such a part, which
    is flat, has no region.

    Parameters
    ----------
    size
        (W, H) of the radiograph.
    content
        Part of the map that the radiograph covers, (x0, y0, x1, y1) in [0, 1].
    box
        (x0, y0, x1, y1) in pixels of the radiograph, exclusive end.
    """
    before, canvas, part = _around(size, content)
    above = mask(heat, canvas, part, THRESHOLD)
    runs = _runs(above)
    if not len(runs):
        return np.zeros(size[::-1], np.bool_)
    components = _components(runs)
    overlaps = [_overlap(runs[components == one], before, box) for one in range(components.max() + 1)]
    kept = np.zeros(above.shape, np.bool_)
    for row, start, end in runs[components == int(np.argmax(overlaps))]:
        kept[row, start:end] = True
    return kept[before[1] : before[1] + size[1], before[0] : before[0] + size[0]]


def _around(size: tuple[int, int], content: Content) -> tuple[tuple[int, int], tuple[int, int], Content]:
    """Extend the radiograph's grid by whole pixels over the canvas: pixels before it, size, and part of the map."""
    pitch = (content[2] - content[0]) / size[0], (content[3] - content[1]) / size[1]
    before = int(content[0] / pitch[0]), int(content[1] / pitch[1])
    after = int((1 - content[2]) / pitch[0]), int((1 - content[3]) / pitch[1])
    part = (
        max(0.0, content[0] - before[0] * pitch[0]),
        max(0.0, content[1] - before[1] * pitch[1]),
        min(1.0, content[2] + after[0] * pitch[0]),
        min(1.0, content[3] + after[1] * pitch[1]),
    )
    return before, (before[0] + size[0] + after[0], before[1] + size[1] + after[1]), part


def _runs(mask: Mask) -> npt.NDArray[np.intp]:
    """Row, first column and exclusive end of each horizontal run of a mask, [n, 3], in the order of reading."""
    padded = np.pad(mask, ((0, 0), (1, 1)))  # so that a run ends in its row
    flat = padded.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1])  # faster than in two dimensions
    rows, starts = np.divmod(changes[::2], padded.shape[1])
    return np.stack((rows, starts, changes[1::2] - rows * padded.shape[1]), axis=1)


def _components(runs: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Number of the component of each run, from 0; runs of adjacent rows that touch, even at corners, are joined."""
    listed = runs.tolist()
    parents = list(range(len(listed)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    first = 0  # index of the first run of the row above that may touch this run or a later one
    for index, (row, start, end) in enumerate(listed):
        while listed[first][0] < row - 1 or (listed[first][0] == row - 1 and listed[first][2] < start):
            first += 1
        other = first
        while listed[other][0] == row - 1 and listed[other][1] <= end:
            parents[root(other)] = root(index)
            other += 1
    _, components = np.unique([root(run) for run in range(len(listed))], return_inverse=True)
    return components


def _overlap(runs: npt.NDArray[np.intp], before: tuple[int, int], box: Box) -> float:
    """Intersection over union of the box of a component and the box of the prediction."""
    x0, y0 = runs[:, 1].min() - before[0], runs[:, 0].min() - before[1]
    x1, y1 = runs[:, 2].max() - before[0], runs[:, 0].max() + 1 - before[1]
    width, height = min(x1, box[2]) - max(x0, box[0]), min(y1, box[3]) - max(y0, box[1])
    common = max(0, width) * max(0, height)
    return float(common / ((x1 - x0) * (y1 - y0) + (box[2] - box[0]) * (box[3] - box[1]) - common))

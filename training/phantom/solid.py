"""Line integrals through solids: exact intervals of rays in ellipsoids, and set operations on such intervals.

Lengths are in mm. Axes of the patient: x to the patient's left (the viewer's right), y to the back, z to the feet.
"""

import math
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Points = NDArray[np.floating]
Vector = tuple[float, float, float]

COARSE = 8


class Rays(NamedTuple):
    """Straight rays `origin + t * direction`, t in mm along the ray.

    Both are `[3, h, w] float32` in the patient's frame. For a patient of another size, directions are not of unit
    length, while t stays in mm.
    """

    origin: Plane
    direction: Plane


class Interval(NamedTuple):
    """Interval in which each ray is inside a convex solid: `[h, w] float32` each, in mm; near > far where it misses."""

    near: Plane
    far: Plane


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid; with `math.inf` as an axis, a cylinder along that axis.

    Parameters
    ----------
    centre, axes
        Centre and half-axes in mm.
    roll
        Rotation in radians about y; positive values move the lower end to the patient's left.
    pitch
        Rotation in radians about x before the roll; positive values move the lower end to the back.
    """

    centre: Vector
    axes: Vector
    roll: float = 0.0
    pitch: float = 0.0

    def matrix(self) -> Plane:
        """Return the matrix `[3, 3] float32` that maps the solid to the unit ball."""
        c, s = math.cos(self.roll), math.sin(self.roll)
        d, e = math.cos(self.pitch), math.sin(self.pitch)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, d, e], [0, -e, d]])
        return np.asarray(turn.T / np.array(self.axes)[:, None], dtype=np.float32)

    def scaled(self, factor: float) -> "Ellipsoid":
        """Scale about the centre."""
        x, y, z = self.axes
        return Ellipsoid(self.centre, (x * factor, y * factor, z * factor), self.roll, self.pitch)

    def about(self, point: Vector, factor: float) -> "Ellipsoid":
        """Scale about a point."""
        x, y, z = (p + (c - p) * factor for c, p in zip(self.centre, point, strict=True))
        return Ellipsoid((x, y, z), self.scaled(factor).axes, self.roll, self.pitch)

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Ellipsoid":
        """Move by an offset in mm."""
        return Ellipsoid((self.centre[0] + x, self.centre[1] + y, self.centre[2] + z), self.axes, self.roll, self.pitch)

    def depth(self, points: Points) -> Points:
        """Return the squared radius `[N]` of points `[N, 3]` in the unit ball; below 1 is inside."""
        return np.asarray((((points - self.centre) @ self.matrix().T.astype(np.float64)) ** 2).sum(1))

    def interval(self, rays: Rays) -> Interval:
        """Return the interval of each ray inside the solid: `[h, w]`."""
        near = np.full(rays.origin.shape[1:], np.inf, dtype=np.float32)
        far = -near
        part = self._window(rays)
        some = Rays(rays.origin[:, *part], rays.direction[:, *part])
        near[part], far[part] = self._solved(some)
        return Interval(near, far)

    def _solved(self, rays: Rays) -> Interval:
        """Solve |M (origin + t direction - centre)|² = 1 for t."""
        matrix = self.matrix()
        centre = np.array(self.centre, dtype=np.float32)[:, None, None]
        start = transform(matrix, rays.origin - centre)
        along = transform(matrix, rays.direction)
        a = (along * along).sum(0)
        b = (along * start).sum(0)
        root = b * b - a * ((start * start).sum(0) - np.float32(1))
        hit = root > 0
        root = np.sqrt(np.maximum(root, 0))
        inf = np.float32(np.inf)
        return Interval(np.where(hit, (-b - root) / a, inf), np.where(hit, (root - b) / a, -inf))

    def _window(self, rays: Rays) -> tuple[slice, slice]:
        """Return rows and columns outside of which no ray hits, from every eighth ray and an enlarged solid."""
        coarse = Rays(rays.origin[:, ::COARSE, ::COARSE], rays.direction[:, ::COARSE, ::COARSE])
        corner = rays.origin[:, :2, :2].reshape(3, -1)
        apart = COARSE * float(np.ptp(corner, axis=1).max())
        x, y, z = (axis + 1.5 * apart for axis in self.axes)
        hit = length(Ellipsoid(self.centre, (x, y, z), self.roll, self.pitch)._solved(coarse)) > 0
        return _span(np.any(hit, axis=1)), _span(np.any(hit, axis=0))


def transform(matrix: Plane, vectors: Plane) -> Plane:
    """Multiply a matrix `[3, 3]` with vectors `[3, ...]`, without BLAS, whose threads are too slow at this size."""
    return np.asarray(np.einsum("ij,j...->i...", matrix, vectors))


def _span(hit: NDArray[np.bool_]) -> slice:
    """Return the slice of the fine grid around all coarse hits."""
    where = np.flatnonzero(hit)
    return slice(max(0, (where[0] - 1) * COARSE), (where[-1] + 2) * COARSE) if len(where) else slice(0)


def length(interval: Interval) -> Plane:
    """Return the length `[h, w] float32` of each interval, in mm, at least 0."""
    return np.asarray(np.maximum(interval.far - interval.near, np.float32(0)))


def meet(*intervals: Interval) -> Interval:
    """Return the intersection of intervals `[h, w]`."""
    return reduce(lambda a, b: Interval(np.maximum(a.near, b.near), np.minimum(a.far, b.far)), intervals)


def hull(*intervals: Interval) -> Interval:
    """Return the union of intervals `[h, w]` without gaps; exact where the solids overlap along the ray."""
    return reduce(_join, intervals)


def _join(a: Interval, b: Interval) -> Interval:
    return Interval(np.minimum(a.near, b.near), np.maximum(a.far, b.far))


def without(whole: Interval, *holes: Interval) -> Plane:
    """Return the path `[h, w] float32`, in mm, inside `whole` but outside the convex holes, by inclusion–exclusion."""
    path = length(whole)
    for count in range(1, len(holes) + 1):
        for some in combinations(holes, count):
            path += (-1) ** count * length(meet(whole, *some))
    return path

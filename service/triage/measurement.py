"""Measurements that a reader makes on a radiograph, and their values."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import atan2, degrees, hypot
from typing import Literal

from service.dicom.grid import Grid

Kind = Literal["length", "angle", "cardiothoracic_ratio"]
Unit = Literal["mm", "px", "deg", "1"]
Point = tuple[float, float]

POINTS: dict[Kind, int] = {"length": 2, "angle": 3, "cardiothoracic_ratio": 4}


@dataclass(frozen=True)
class Quantity:
    """A number and its unit; `1` is that of a ratio."""

    value: float
    unit: Unit


@dataclass(frozen=True)
class Measurement:
    """A measurement, as its reader made it.

    Attributes
    ----------
    points
        (column, row) in pixels of the stored image; the top left corner is (0, 0), the centre of the first pixel
        (.5, .5). `length`: both ends. `angle`: a point on one arm, the vertex, a point on the other arm.
        `cardiothoracic_ratio`: both borders of the heart, then both inner borders of the chest wall.
    grid
        Pixel grid of the radiograph.
    at, by
        When it was made, aware, and by whom; empty if nobody said.
    """

    id: str
    kind: Kind
    points: tuple[Point, ...]
    grid: Grid
    at: datetime
    by: str


def quantity(measurement: Measurement) -> Quantity:
    """Return the value of a measurement, unrounded."""
    points, grid = measurement.points, measurement.grid
    match measurement.kind:
        case "length":
            return length(points[0], points[1], grid)
        case "angle":
            return Quantity(_angle(points, grid), "deg")
        case "cardiothoracic_ratio":
            heart, thorax = widths(points)
            return Quantity(heart / thorax, "1")


def is_degenerate(kind: Kind, points: tuple[Point, ...]) -> bool:
    """Whether points that should differ are one, so that there is no value."""
    if kind == "cardiothoracic_ratio":
        return 0.0 in widths(points)
    return any(first == second for first, second in pairwise(points))


def length(start: Point, end: Point, grid: Grid) -> Quantity:
    """Return a distance in mm, or in pixels without a spacing.

    With Imager Pixel Spacing it is that at the detector, which is larger than in the patient, PS3.3 10.7.1.3.
    """
    across, down = end[0] - start[0], end[1] - start[1]
    if grid.spacing is None:
        return Quantity(hypot(across, down), "px")
    row, column = grid.spacing
    return Quantity(hypot(across * column, down * row), "mm")


def widths(points: tuple[Point, ...]) -> tuple[float, float]:
    """Return the widths of heart and thorax in pixels: the horizontal distance of their two points each."""
    (heart_from, heart_to), (thorax_from, thorax_to) = points[:2], points[2:]
    return abs(heart_to[0] - heart_from[0]), abs(thorax_to[0] - thorax_from[0])


def _angle(points: tuple[Point, ...], grid: Grid) -> float:
    """Return the angle at the second of three points, in [0, 180] degrees; pixels need not be square."""
    row, column = grid.spacing or (grid.aspect, 1.0)
    (x0, y0), (vertex_x, vertex_y), (x1, y1) = ((x * column, y * row) for x, y in points)
    ux, uy, vx, vy = x0 - vertex_x, y0 - vertex_y, x1 - vertex_x, y1 - vertex_y
    return degrees(atan2(abs(ux * vy - uy * vx), ux * vx + uy * vy))

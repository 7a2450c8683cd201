from datetime import UTC, datetime
from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.dicom.grid import Grid
from service.triage.measurement import Kind, Measurement, Point, Quantity, is_degenerate, quantity

PLAIN = Grid(4000, 3000, 1.0, None, None)
DETECTOR = Grid(4000, 3000, 1.0, (0.14, 0.14), "ImagerPixelSpacing")
OBLONG = Grid(4000, 3000, 2.0, (0.4, 0.2), "PixelSpacing")


def value(kind: Kind, grid: Grid, *points: Point) -> Quantity:
    return quantity(Measurement("m", kind, points, grid, datetime.now(UTC), "AB"))


@pytest.mark.parametrize(
    ("kind", "grid", "points", "expected", "unit"),
    [
        ("length", PLAIN, [(10, 20), (13, 24)], 5.0, "px"),  # 3, 4, 5
        ("length", DETECTOR, [(100, 50), (400, 450)], 70.0, "mm"),  # 500 pixels of 0.14 mm
        ("length", OBLONG, [(0, 0), (20, 0)], 4.0, "mm"),
        ("length", OBLONG, [(0, 0), (0, 20)], 8.0, "mm"),
        ("length", OBLONG, [(0, 0), (15, 10)], 5.0, "mm"),  # 3 mm across, 4 mm down
        ("angle", PLAIN, [(10, 0), (0, 0), (0, 7)], 90.0, "deg"),
        ("angle", PLAIN, [(10, 0), (0, 0), (5, 5)], 45.0, "deg"),
        ("angle", PLAIN, [(10, 0), (0, 0), (-3, 0)], 180.0, "deg"),
        ("angle", PLAIN, [(10, 0), (0, 0), (4, 0)], 0.0, "deg"),
        ("angle", PLAIN, [(1, 0), (0, 0), (-1, sqrt(3))], 120.0, "deg"),
        ("angle", OBLONG, [(2, 0), (0, 0), (2, 1)], 45.0, "deg"),  # 0.4 mm across and down
        ("angle", Grid(9, 9, 2.0, None, None), [(2, 0), (0, 0), (2, 1)], 45.0, "deg"),
        ("cardiothoracic_ratio", PLAIN, [(900, 2100), (2100, 2300), (300, 2500), (2700, 2450)], 0.5, "1"),
        ("cardiothoracic_ratio", OBLONG, [(2050, 10), (1000, 90), (2600, 0), (500, 7)], 0.5, "1"),
    ],
)
def test_a_value_is_the_one_computed_by_hand(
    kind: Kind, grid: Grid, points: list[Point], expected: float, unit: str
) -> None:
    result = value(kind, grid, *points)

    assert (result.value, result.unit) == (pytest.approx(expected, abs=1e-9), unit)


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("length", [(1, 1), (1, 1)], True),
        ("length", [(1, 1), (1, 2)], False),
        ("angle", [(1, 1), (2, 2), (2, 2)], True),
        ("angle", [(1, 1), (2, 2), (1, 1)], False),  # an angle of 0 degrees
        ("cardiothoracic_ratio", [(1, 1), (1, 9), (0, 5), (9, 5)], True),  # a vertical line has no width
        ("cardiothoracic_ratio", [(1, 1), (2, 9), (5, 5), (5, 5)], True),
        ("cardiothoracic_ratio", [(1, 1), (2, 9), (0, 5), (9, 5)], False),
    ],
)
def test_without_two_different_points_there_is_no_value(kind: Kind, points: list[Point], expected: bool) -> None:
    assert is_degenerate(kind, tuple(points)) == expected


COORDINATES = st.floats(0, 4000, width=32)
POINTS = st.tuples(COORDINATES, COORDINATES)


@pytest.mark.parametrize(("kind", "count"), [("angle", 3), ("cardiothoracic_ratio", 4)])
@given(data=st.data(), factor=st.floats(0.1, 10), across=st.floats(-500, 500), down=st.floats(-500, 500))
def test_angle_and_ratio_depend_neither_on_place_nor_on_scale(
    kind: Kind, count: int, data: st.DataObject, factor: float, across: float, down: float
) -> None:
    points = data.draw(st.lists(POINTS, min_size=count, max_size=count))
    assume(all(abs(a[0] - b[0]) > 1 for a, b in pairwise(points)))
    moved = [(factor * x + across, factor * y + down) for x, y in points]

    before, after = value(kind, DETECTOR, *points), value(kind, DETECTOR, *moved)

    assert after.value == pytest.approx(before.value, rel=1e-6, abs=1e-4)

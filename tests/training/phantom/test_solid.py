import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.phantom.solid import Ellipsoid, Interval, Rays, hull, length, meet, without


def parallel(xs, zs):
    """Rays along y through a grid of (x, z)."""
    x, z = np.meshgrid(np.float32(xs), np.float32(zs))
    nothing = np.zeros_like(x)
    return Rays(np.stack([x, nothing, z]), np.stack([nothing, nothing + 1, nothing]))


def interval(near, far):
    return Interval(np.float32([[near]]), np.float32([[far]]))


def marched(solids, inside, rays, step=0.05):
    """Path by small steps, for rays along y."""
    t = np.arange(-120, 120, step)
    x, z = rays.origin[0].ravel(), rays.origin[2].ravel()
    points = np.stack([np.repeat(x, len(t)), np.tile(t, len(x)), np.repeat(z, len(t))], 1)
    return inside(*(solid.depth(points) < 1 for solid in solids)).reshape(len(x), -1).sum(1) * step


class TestInterval:
    def test_chord_of_a_sphere(self):
        rays = parallel([0, 3, 6, 9, 11], [0])
        expected = [2 * math.sqrt(100 - d * d) if d < 10 else 0 for d in (0, 3, 6, 9, 11)]
        np.testing.assert_allclose(length(Ellipsoid((0, 5, 0), (10, 10, 10)).interval(rays))[0], expected, atol=1e-3)

    def test_entry_and_exit_of_a_ray(self):
        got = Ellipsoid((0, 5, 0), (10, 20, 10)).interval(parallel([0], [0]))
        assert got.near.item() == pytest.approx(-15)
        assert got.far.item() == pytest.approx(25)

    def test_cylinder_is_the_same_all_along(self):
        rays = parallel([4], np.linspace(-900, 900, 40))
        np.testing.assert_allclose(length(Ellipsoid((0, 0, 0), (5, 5, math.inf)).interval(rays)), 6.0, rtol=1e-5)

    def test_a_larger_patient_has_longer_paths_in_mm(self):
        rays = parallel([0], [0])
        stretched = Rays(rays.origin, rays.direction / np.float32(2))  # patient twice the size
        assert length(Ellipsoid((0, 0, 0), (10, 10, 10)).interval(stretched)).item() == pytest.approx(40)

    @settings(max_examples=12, deadline=None)
    @given(
        st.tuples(*[st.floats(-30, 30)] * 3),
        st.tuples(*[st.floats(4, 40)] * 3),
        st.floats(-1.5, 1.5),
        st.floats(-1.5, 1.5),
    )
    def test_agrees_with_marching(self, centre, axes, roll, pitch):
        rays = parallel(np.linspace(-60, 60, 5), np.linspace(-60, 60, 5))
        solid = Ellipsoid(centre, axes, roll, pitch)
        path = length(solid.interval(rays)).ravel()
        np.testing.assert_allclose(path, marched([solid], lambda a: a, rays), atol=0.15)

    def test_the_search_window_misses_no_ray(self):
        rays = parallel(np.linspace(-200, 200, 448), np.linspace(-200, 200, 448))
        for centre in ((0, 0, 0), (-198, 0, 150), (133, 0, 199)):
            solid = Ellipsoid(centre, (3, 3, 2))
            near, far = solid._solved(rays)
            np.testing.assert_array_equal(length(solid.interval(rays)), length(Interval(near, far)))


class TestSets:
    def test_meet_and_hull_of_overlapping(self):
        a, b = interval(0, 6), interval(4, 9)
        assert length(meet(a, b)).item() == 2
        assert length(hull(a, b)).item() == 9

    def test_a_missed_solid_is_ignored(self):
        miss = interval(np.inf, -np.inf)
        assert length(hull(interval(1, 3), miss)).item() == 2
        assert length(meet(interval(1, 3), miss)).item() == 0

    def test_without_three_holes_agrees_with_marching(self):
        rays = parallel(np.linspace(-40, 40, 6), np.linspace(-40, 40, 6))
        solids = [
            Ellipsoid((0, 0, 0), (50, 60, 50)),
            Ellipsoid((-10, -20, 0), (25, 30, 30)),
            Ellipsoid((12, 5, 8), (25, 22, 20)),
            Ellipsoid((0, 30, 20), (30, 30, 30)),
        ]
        path = without(*(solid.interval(rays) for solid in solids)).ravel()
        expected = marched(solids, lambda w, a, b, c: w & ~a & ~b & ~c, rays)
        np.testing.assert_allclose(path, expected, atol=0.25)


def test_contraction_keeps_its_centre_fixed():
    solid = Ellipsoid((10, 0, 0), (4, 4, 4)).about((0, 0, 0), 0.5)
    assert solid.centre == (5, 0, 0)
    assert solid.axes == (2, 2, 2)

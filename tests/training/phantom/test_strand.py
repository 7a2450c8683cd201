import numpy as np
import pytest

from training.phantom.camera import Camera, Pose
from training.phantom.strand import Strands, curve, gather, shadow, tube

CAMERA = Camera(Pose("PA", field=100), 200, 200)  # 0.5 mm


def rod(radius, attenuation):
    line = np.stack([0.11 + 0 * np.arange(-40, 40, 0.1), 0 * np.arange(-40, 40, 0.1), np.arange(-40, 40, 0.1)], 1)
    return tube(line, radius, attenuation)


@pytest.mark.parametrize("radius", [0.2, 0.7, 2.0, 3.1, 7.9])
def test_a_tube_absorbs_its_volume(radius):
    plane = shadow(rod(radius, 0.02), CAMERA)
    assert plane.sum() * CAMERA.pitch**2 == pytest.approx(np.pi * radius**2 * 80 * 0.02, rel=0.01)


@pytest.mark.parametrize("radius", [2.0, 4.0])  # 4 and 8 pixels: radii that need no sharing
def test_profile_of_a_row_of_balls(radius):
    across = shadow(rod(radius, 0.02), CAMERA)[100]
    d = (np.arange(200) + 0.5 - 100) * 0.5 - 0.11
    expected = 0.75 * np.pi * np.maximum(radius**2 - d**2, 0) / radius * 0.02
    np.testing.assert_allclose(across, expected, atol=0.08 * expected.max())  # blurred by the detector at its edges


def test_a_ball_casts_the_chord_of_a_sphere():
    radius = 8.0  # 16 pixels
    ball = Strands(np.zeros((1, 3)), np.array([radius]), np.array([4 / 3 * np.pi * radius**3 * 0.02]))
    row = shadow(ball, CAMERA)[99:101].mean(0)
    d = np.hypot((np.arange(200) + 0.5 - 100) * 0.5, 0.25)
    chord = 2 * np.sqrt(np.maximum(radius**2 - d**2, 0)) * 0.02
    inside = d < 0.9 * radius
    np.testing.assert_allclose(row[inside], chord[inside], rtol=0.02)
    np.testing.assert_allclose(row[d > 1.15 * radius], 0, atol=0.01)


def test_points_outside_do_not_wrap_around():
    far = Strands(np.array([[0.0, 0.0, 400.0]]), np.array([1.0]), np.array([1.0]))
    assert np.abs(shadow(far, CAMERA)).max() < 1e-6


def test_no_balls_have_no_shadow():
    assert shadow(gather([]), CAMERA).shape == (200, 200)


def test_a_curve_passes_through_its_knots():
    knots = np.array([[0.0, 0, 0], [10, 5, 0], [20, 0, 4], [35, -3, 8]])
    line = curve(knots, 0.2)
    gaps = np.linalg.norm(line[:, None] - knots, axis=2).min(0)
    assert gaps.max() < 0.15
    assert np.linalg.norm(np.diff(line, axis=0), axis=1).max() < 0.5

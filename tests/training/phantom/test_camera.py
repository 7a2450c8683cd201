import numpy as np
import pytest

from training.phantom.camera import Camera, Pose

SWAY = ((1.5, 0.02, -0.01, 0.3, 0.4), (1.0, -0.015, 0.02, 2.0, 0.7))
POSES = {
    "straight": Pose("PA"),
    "portable": Pose("AP", turn=0.1, tilt=-0.08, roll=0.05, scale=(0.9, 1.0, 1.1), shift=(12, -25)),
    "swaying": Pose("PA", turn=-0.05, scale=(1.05, 0.95, 1.0), shift=(-4, -30), sway=SWAY),
}


@pytest.mark.parametrize("name", POSES)
def test_points_on_a_ray_land_on_its_pixel(name):
    camera = Camera(POSES[name], 60, 80)
    rays = camera.rays()
    for t in (-80.0, 0.0, 90.0):
        points = rays.origin + np.float32(t) * rays.direction  # [3, H, W]
        pixels = camera.project(points.reshape(3, -1).T)
        np.testing.assert_allclose(pixels.column.reshape(60, 80)[0], np.arange(80) + 0.5, atol=0.05)
        np.testing.assert_allclose(pixels.row.reshape(60, 80)[:, 0], np.arange(60) + 0.5, atol=0.05)


def test_pitch_is_that_of_the_field():
    assert Camera(Pose("PA", field=400), 100, 100).pitch == 4.0
    assert Camera(Pose("PA", field=400), 200, 50).pitch == 4.0


def test_what_is_in_front_is_magnified_by_ap_only():
    chest_wall = np.array([[0.0, -100.0, 0.0]])
    assert Camera(Pose("AP"), 10, 10).project(chest_wall).magnification.item() == pytest.approx(950 / 850)
    assert Camera(Pose("PA"), 10, 10).project(chest_wall).magnification.item() == pytest.approx(1650 / 1750)


def test_directions_are_of_unit_length_in_the_room():
    direction = Camera(POSES["straight"], 20, 20).rays().direction
    np.testing.assert_allclose((direction**2).sum(0), 1, rtol=1e-5)

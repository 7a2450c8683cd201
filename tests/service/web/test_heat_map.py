import numpy as np
import pytest

from service.objects.overlay import scaled
from service.objects.resampling import smoothed
from tests.service.web.chromium import Modules

MAP = np.random.default_rng(3).random((5, 7), dtype=np.float32)
SAMPLED = """(m, rows, image, content) => {
    const map = m.grid(rows);
    const whole = { scale: 1, offset: 0 };
    const across = m.axis(image[0], whole, image[0], [content[0], content[2]], map.columns);
    const down = m.axis(image[1], whole, image[1], [content[1], content[3]], map.rows);
    return [...m.sampled(map, across, down)];
}"""


@pytest.mark.parametrize("content", [(0.0, 0.0, 1.0, 1.0), (0.1, 0.0, 0.9, 1.0), (0.0, 0.2, 1.0, 0.8)])
@pytest.mark.parametrize("image", [(90, 70), (33, 61), (8, 7)])
def test_the_interpolated_map_equals_that_of_the_service(
    modules: Modules, image: tuple[int, int], content: tuple[float, float, float, float]
) -> None:
    expected = smoothed(MAP, image, content)

    actual = modules.call("heat_map.js", SAMPLED, MAP.tolist(), image, content)

    assert np.abs(np.reshape(actual, expected.shape) - expected).max() < 1e-5


def test_a_zoomed_view_samples_the_centres_of_its_own_pixels(modules: Modules) -> None:
    """At twice the size and an offset of 6, pixel 6 of the canvas is at 0.25 pixels of the image."""
    axis = "(m) => { const axis = m.axis(3, { scale: 2, offset: 6 }, 10, [0, 1], 10); return [axis.start, axis.step]; }"

    assert modules.call("heat_map.js", axis) == pytest.approx([-3.25, 0.5])


@pytest.mark.parametrize("reference", [None, 2.5, -4.0])
@pytest.mark.parametrize("rows", [[[2.0, 4.0], [3.0, -20.0]], [[7.0, 7.0]]])
def test_a_class_map_is_scaled_as_by_the_service(
    modules: Modules, rows: list[list[float]], reference: float | None
) -> None:
    actual = modules.call("heat_map.js", "(m, rows, one) => [...m.scaled(m.grid(rows), one).values]", rows, reference)
    assert actual == pytest.approx(scaled(np.array(rows), reference).ravel().tolist(), abs=1e-6)


def rgb(modules: Modules, name: str) -> np.ndarray:
    packed = np.array(modules.call("colormap.js", "(m, name) => [...m.colours(name)]", name), np.int64)
    return np.stack([packed & 255, packed >> 8 & 255, packed >> 16 & 255], axis=1)


@pytest.mark.parametrize("name", ["viridis", "inferno"])
def test_colours_equal_those_of_matplotlib_and_rise_in_lightness(modules: Modules, name: str) -> None:
    from matplotlib import colormaps  # takes a second to import

    actual = rgb(modules, name)

    anchors = [0, 85, 170, 255]  # the anchors that coincide with one of the 256 levels
    assert np.abs(actual[anchors] - 255 * colormaps[name](anchors)[:, :3]).max() <= 1
    lightness = actual @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all()
    assert (np.diff(lightness[::16]) > 0).all()


def test_only_colour_maps_for_colour_vision_deficiency_are_offered(modules: Modules) -> None:
    assert modules.call("colormap.js", "(m) => m.NAMES") == ["viridis", "inferno"]

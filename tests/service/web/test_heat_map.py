import numpy as np
import pytest
from PIL import Image

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
def test_between_cells_it_is_what_pillow_makes(
    modules: Modules, image: tuple[int, int], content: tuple[float, float, float, float]
) -> None:
    part = (content[0] * 7, content[1] * 5, content[2] * 7, content[3] * 5)
    wanted = np.asarray(Image.fromarray(MAP).resize(image, Image.Resampling.BILINEAR, part))

    found = modules.call("heat_map.js", SAMPLED, MAP.tolist(), image, content)

    assert np.abs(np.reshape(found, wanted.shape) - wanted).max() < 1e-5


def test_a_zoomed_view_takes_the_places_of_its_own_pixels(modules: Modules) -> None:
    """At twice the size, 6 pixels from the left: pixel 6 is at 0.25 of the image."""
    place = "(m) => { const one = m.axis(3, { scale: 2, offset: 6 }, 10, [0, 1], 10); return [one.start, one.step]; }"

    assert modules.call("heat_map.js", place) == pytest.approx([-3.25, 0.5])


@pytest.mark.parametrize(
    ("rows", "wanted"), [([[2.0, 4.0], [3.0, 2.0]], [0, 1, 0.5, 0]), ([[7.0, 7.0]], [0, 0]), ([[-1.0, -3.0]], [1, 0])]
)
def test_a_class_map_is_relative_to_itself(modules: Modules, rows: list[list[float]], wanted: list[float]) -> None:
    assert modules.call("heat_map.js", "(m, rows) => [...m.relative(m.grid(rows)).values]", rows) == wanted


def rgb(modules: Modules, name: str) -> np.ndarray:
    packed = np.array(modules.call("colormap.js", "(m, name) => [...m.colours(name)]", name), np.int64)
    return np.stack([packed & 255, packed >> 8 & 255, packed >> 16 & 255], axis=1)


@pytest.mark.parametrize("name", ["viridis", "inferno"])
def test_colours_are_the_known_maps_and_rise_in_lightness(modules: Modules, name: str) -> None:
    from matplotlib import colormaps  # brings a second: only for this test

    found = rgb(modules, name)

    anchors = [0, 85, 170, 255]  # those of the ten that are levels; between them lines are straight
    assert np.abs(found[anchors] - 255 * colormaps[name](anchors)[:, :3]).max() <= 1
    lightness = found @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all()
    assert (np.diff(lightness[::16]) > 0).all()


def test_only_maps_that_the_colour_blind_can_read_are_offered(modules: Modules) -> None:
    assert modules.call("colormap.js", "(m) => m.NAMES") == ["viridis", "inferno"]

import numpy as np
import pytest

from tests.service.web.chromium import Modules

HALVED = """(m, rows, padding) => {
    const level = { values: Uint16Array.from(rows.flat()), width: rows[0].length, height: rows.length };
    const half = m.halved(level, padding);
    return [half.width, half.height, [...half.values]];
}"""
DRAWN = """(m, rows, canvas, view, moving) => {
    const header = { rows: rows.length, columns: rows[0].length, aspect: 1, padding: null };
    const raster = new m.Raster(Uint16Array.from(rows.flat()), header);
    const greys = Uint32Array.from({ length: 65536 }, (_, value) => 0xff000000 | (value & 255) * 0x010101);
    const to = document.createElement("canvas");
    [to.width, to.height] = canvas;
    raster.draw(to, view, greys, moving);
    const { data } = to.getContext("2d").getImageData(0, 0, to.width, to.height);
    return [...data].filter((_, index) => index % 4 === 0);
}"""


def test_a_halved_image_averages_four_pixels(modules: Modules) -> None:
    rows = [[0, 4, 10], [8, 4, 20], [65535, 65535, 7]]

    assert modules.call("raster.js", HALVED, rows, None) == [2, 2, [4, 15, 65535, 7]]


def test_padding_is_left_out_of_an_average(modules: Modules) -> None:
    rows = [[9, 9, 0, 9], [9, 9, 6, 9]]

    assert modules.call("raster.js", HALVED, rows, 9) == [2, 1, [9, 3]]


def test_one_to_one_draws_every_value_at_its_place(modules: Modules) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (20, 30))
    view = {"scaleX": 1, "scaleY": 1, "x": 3, "y": -4}

    drawn = np.reshape(modules.call("raster.js", DRAWN, rows.tolist(), [40, 18], view, False), (18, 40))

    expected = np.zeros((18, 40))
    expected[0:16, 3:33] = rows[4:20]
    assert np.array_equal(drawn, expected)


@pytest.mark.parametrize("moving", [False, True])
def test_a_reduced_image_shows_averages(modules: Modules, moving: bool) -> None:
    """A chessboard of single pixels becomes uniform grey."""
    rows = np.indices((64, 64)).sum(0) % 2 * 200
    view = {"scaleX": 0.25, "scaleY": 0.25, "x": 0, "y": 0}

    drawn = np.array(modules.call("raster.js", DRAWN, rows.tolist(), [16, 16], view, moving))

    assert np.abs(drawn - 100).max() <= 1


def test_the_value_under_the_pointer(modules: Modules) -> None:
    at = """(m) => {
        const header = { rows: 2, columns: 3, aspect: 1, padding: 6 };
        const raster = new m.Raster(Uint16Array.from([1, 2, 3, 4, 5, 6]), header);
        const places = [[2.9, 0.1], [0, 1], [3, 0], [-0.1, 0], [0, 2]];
        return [...places.map(([x, y]) => raster.at(x, y)), raster.range];
    }"""

    assert modules.call("raster.js", at) == [3, 4, None, None, None, [1, 5]]

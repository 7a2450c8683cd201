import pytest

from tests.service.web.chromium import Modules

IMAGE, STAGE = {"width": 200, "height": 100, "aspect": 2}, {"width": 500, "height": 300}
CALL = "(m, name, ...args) => m[name](...args)"


def test_fit_shows_the_whole_image_centred(modules: Modules) -> None:
    """The pixels are twice as high as wide, so the image is square and the height of the stage limits it."""
    view = modules.call("view.js", CALL, "fit", IMAGE, STAGE)

    assert view == {"scaleX": 1.5, "scaleY": 3, "x": 100, "y": 0}


def test_one_to_one_is_on_whole_pixels(modules: Modules) -> None:
    view = modules.call("view.js", CALL, "actual", IMAGE | {"width": 201, "aspect": 1}, STAGE)

    assert view == {"scaleX": 1, "scaleY": 1, "x": 150, "y": 100}


@pytest.mark.parametrize("factor", [0.5, 3, 1e9, 1e-9])
def test_zoom_keeps_the_point_under_the_pointer(modules: Modules, factor: float) -> None:
    view, at = {"scaleX": 1.5, "scaleY": 3, "x": 100, "y": -7}, {"x": 321, "y": 45}

    zoomed = modules.call("view.js", CALL, "zoomed", view, factor, at)

    assert 1 / 64 <= zoomed["scaleX"] <= 64
    assert zoomed["scaleY"] == pytest.approx(2 * zoomed["scaleX"])
    before, after = (modules.call("view.js", CALL, "toImage", one, at) for one in (view, zoomed))
    assert after == pytest.approx(before)


def test_a_point_converts_to_the_stage_and_back(modules: Modules) -> None:
    view, place = {"scaleX": 1.5, "scaleY": 3, "x": 100, "y": -7}, {"x": 12.5, "y": 80}

    there = modules.call("view.js", CALL, "toStage", view, place)

    assert there == {"x": 118.75, "y": 233}
    assert modules.call("view.js", CALL, "toImage", view, there) == place
    moved = modules.call("view.js", CALL, "panned", view, 4, 5)
    assert modules.call("view.js", CALL, "toStage", moved, place) == {"x": 122.75, "y": 238}


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({"scaleX": 1, "scaleY": 2, "x": 150, "y": 50}, [150, 50, 350, 250]),
        ({"scaleX": 1.001, "scaleY": 2, "x": 149.5, "y": -50.5}, [149, 0, 350, 150]),
        ({"scaleX": 9, "scaleY": 18, "x": -100, "y": -100}, [0, 0, 500, 300]),
        ({"scaleX": 1, "scaleY": 2, "x": -900, "y": 0}, [0, 0, 0, 200]),
    ],
)
def test_covered_is_the_visible_part_of_the_image(modules: Modules, view: object, expected: list[int]) -> None:
    assert modules.call("view.js", CALL, "covered", view, IMAGE, STAGE) == expected


def test_a_box_fills_the_stage(modules: Modules) -> None:
    view = modules.call("view.js", CALL, "fitBox", IMAGE, [50, 20, 150, 40], STAGE)

    assert modules.call("view.js", CALL, "toStage", view, {"x": 50, "y": 20}) == {"x": 0, "y": 50}
    assert modules.call("view.js", CALL, "toStage", view, {"x": 150, "y": 40}) == {"x": 500, "y": 250}


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        (None, "50 px"),
        ({"pair": [0.2, 0.1], "from": "PixelSpacing"}, "8.5 mm"),  # 30 columns of 0.1, 40 rows of 0.2
        ({"pair": [0.2, 0.1], "from": "ImagerPixelSpacing"}, "8.5 mm at the detector"),
    ],
)
def test_a_ruler_uses_the_spacing_of_rows_and_columns(modules: Modules, spacing: object, expected: str) -> None:
    measured = "(m, ...args) => m.words(m.length(...args))"

    assert modules.call("ruler.js", measured, {"x": 5, "y": 10}, {"x": 35, "y": 50}, spacing) == expected


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (["L", "F"], {"right": "L", "left": "R", "bottom": "F", "top": "H"}),
        (["R", "HP"], {"right": "R", "left": "L", "bottom": "HP", "top": "FA"}),
        (None, {"right": "", "left": "", "bottom": "", "top": ""}),
        (["<b>", ""], {"right": "<b>", "left": "", "bottom": "", "top": ""}),
    ],
)
def test_orientation_letters(modules: Modules, orientation: list[str] | None, expected: dict[str, str]) -> None:
    assert modules.call("orientation.js", "(m, orientation) => m.marks(orientation)", orientation) == expected

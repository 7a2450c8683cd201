"""The radiograph in the viewer: its window, its place on the screen, and lengths on it."""

from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.web.chromium import Tab
from tests.service.web.running import post, radiograph
from tests.service.web.viewing import GEOMETRY, STORED, at, drag, grey, picture, window, windowed

SIZE = (300, 380)
SIGMOID = {"WindowCenter": 1800, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"}


def test_a_drag_changes_the_window_of_the_image(viewer: Tab) -> None:
    viewer.key("1").settled()
    assert np.abs(grey(viewer) - windowed(2048, 4096)).max() <= 0.51

    drag(viewer, 120, -60)

    step = (int(STORED.max()) - int(STORED.min())) / 1024
    center, width = 2048 - 60 * step, 4096 + 120 * step
    assert window(viewer) == (pytest.approx(center, abs=0.6), pytest.approx(width, abs=0.6))
    actual = grey(viewer)
    assert np.abs(actual - windowed(center, width)).max() <= 0.51
    assert np.abs(actual - windowed(2048, 4096)).max() > 5


def test_the_image_equals_that_of_the_service_inverted_or_not(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    """A MONOCHROME1 image without a window is inverted once and shown over its full range."""
    tab.view(predictions[1]["id"]).key("1").settled()
    expected = picture(service, predictions[1]["links"]["image"]).astype(int)

    assert np.abs(grey(tab, 400, 300) - expected).max() <= 1
    tab.key("i").settled()
    assert np.abs(grey(tab, 400, 300) - (255 - expected)).max() <= 1
    assert tab.pressed("i")


def test_w_cycles_through_the_presets_of_the_file(viewer: Tab) -> None:
    preset = "() => document.querySelector('#preset').selectedOptions[0].textContent"
    viewer.key("1").settled()
    actual = []
    for _ in range(5):
        actual.append((viewer.page.evaluate(preset), *window(viewer)))
        viewer.key("w").settled()

    assert [name for name, *_ in actual] == ["NORMAL", "HARDER", "Full range", "Automatic", "NORMAL"]
    assert actual[1][1:] == (1500, 1000)
    viewer.key("r").settled()
    viewer.key("w").key("1").settled()
    assert np.abs(grey(viewer) - windowed(1500, 1000)).max() <= 0.51


def test_level_and_width_can_be_entered(viewer: Tab) -> None:
    viewer.page.fill("#level", "1200")
    viewer.page.fill("#width", "800")
    viewer.page.locator("#width").blur()
    viewer.key("1").settled()

    assert np.abs(grey(viewer) - windowed(1200, 800)).max() <= 0.51
    viewer.key("r").settled()
    assert window(viewer) == (2048, 4096)


def test_wheel_keys_and_drags_move_the_view(viewer: Tab) -> None:
    zoom = "() => Number(/(\\d+) %/.exec(document.getElementById('state').textContent)[1])"
    fitted = viewer.page.evaluate(zoom)
    viewer.key("1").settled()
    assert viewer.page.evaluate(zoom) == 100
    x, y = at(viewer)
    before = grey(viewer)

    drag(viewer, 30, -20, button="middle")
    assert at(viewer) == (x + 30, y - 20)
    assert window(viewer) == (2048, 4096), "the middle button pans"
    viewer.key("ArrowRight").settled()
    assert at(viewer) == (x - 10, y - 20)
    assert np.array_equal(grey(viewer), before)
    viewer.page.mouse.wheel(0, -240)
    viewer.settled()
    assert viewer.page.evaluate(zoom) == pytest.approx(143, abs=1)
    viewer.key("-").settled()
    viewer.key("+").settled()
    assert viewer.page.evaluate(zoom) == pytest.approx(143, abs=1)
    viewer.key("f").settled()
    assert viewer.page.evaluate(zoom) == fitted
    viewer.key("v")
    drag(viewer, 9, 9)
    assert window(viewer) == (2048, 4096), "the tool pans"
    assert viewer.pressed("v")

    step = (int(STORED.max()) - int(STORED.min())) / 1024
    viewer.key("Shift+ArrowRight").key("Shift+ArrowDown").settled()
    wider = (2048 + 16 * step, 4096 + 16 * step)
    assert window(viewer) == tuple(pytest.approx(value, abs=0.6) for value in wider), "as a drag of 16 pixels"
    viewer.page.keyboard.down("Shift")
    viewer.page.mouse.wheel(0, 80)
    viewer.settled()
    assert window(viewer) == tuple(pytest.approx(value, abs=0.6) for value in (wider[0], 4096))
    viewer.page.keyboard.down("Control")
    viewer.page.mouse.wheel(0, -80)
    viewer.page.keyboard.up("Control")
    viewer.page.keyboard.up("Shift")
    viewer.settled()
    assert window(viewer) == (2048, 4096)
    assert viewer.page.evaluate(zoom) == fitted, "nothing of that zooms"


def test_a_ruler_measures_by_the_spacing_of_the_file(viewer: Tab) -> None:
    viewer.key("1").key("l").settled()

    drag(viewer, 30, 40)

    assert viewer.page.locator("text.length").text_content() == "10.0 mm"  # 30 columns, 40 rows of 0.2
    assert window(viewer) == (2048, 4096)
    x, y = at(viewer)
    for dx, dy in ((100, 100), (100, 160)):  # two clicks are equivalent to a drag
        viewer.page.mouse.click(x + dx, y + dy)
    viewer.page.wait_for_selector("#measurement-list li >> nth=1")
    viewer.key("d").key("r").settled()
    assert viewer.page.locator("text.length").all_text_contents() == ["10.0 mm", "12.0 mm"]
    for _ in range(2):
        viewer.page.locator("#measurement-list button").first.click()
        viewer.page.get_by_text("Measurement deleted").wait_for()
    viewer.page.wait_for_selector("#measurements", state="hidden")
    viewer.page.wait_for_selector("text.length", state="detached")


def test_pixels_that_are_not_square_are_drawn_as_they_are(tab: Tab, predictions: list[Any]) -> None:
    tab.view(predictions[2]["id"]).key("1").key("l").settled()

    values = grey(tab, 512, 300)
    assert np.abs(values[::2] - values[1::2]).mean() < 1, "a row is two pixels high"
    assert values[0].any()
    assert values[-1].any()
    drag(tab, 30, 40)
    assert tab.page.locator("text.length").text_content() == "5.0 mm"  # 30 columns of 0.1, 20 rows of 0.2


def test_orientation_letters_are_at_the_edges(viewer: Tab, predictions: list[Any]) -> None:
    edges = {name: viewer.text(f".edge.{name}") for name in ("left", "right", "top", "bottom")}
    assert edges == {"left": "R", "right": "L", "top": "H", "bottom": "F"}

    viewer.view(predictions[1]["id"])
    assert [viewer.text(f".edge.{name}") for name in edges] == ["", "", "", ""]


def box(tab: Tab) -> np.ndarray:
    """Return x, y, width and height of the attention box on the image's part of the screen."""
    rect = tab.page.locator("rect.box")
    place = np.array([float(rect.get_attribute(name) or "nan") for name in ("x", "y", "width", "height")])
    stage = tab.page.locator("#stage").bounding_box()
    assert stage is not None
    left, top = at(tab)
    return np.array(place - [left - stage["x"], top - stage["y"], 0, 0])


def test_it_is_rotated_and_mirrored_with_map_box_ruler_letters_and_a_mark(tab: Tab, service: httpx.Client) -> None:
    prediction = post(service, radiograph(41, SIZE, **GEOMETRY, **SIGMOID))
    tab.view(prediction["id"]).key("1").key("h").key("b").settled()
    edges = ("top", "right", "bottom", "left")
    upright, map, place = grey(tab, *SIZE), grey(tab, *SIZE, "canvas.heat"), box(tab)
    assert np.abs(upright - picture(service, prediction["links"]["image"])).max() <= 1, "the file's sigmoid"
    assert "sigmoid" in tab.text("#state")
    assert tab.page.locator(".turn").inner_text() == ""

    tab.key("t").settled()
    assert np.array_equal(grey(tab, *SIZE[::-1]), np.rot90(upright, -1))
    assert np.array_equal(grey(tab, *SIZE[::-1], "canvas.heat"), np.rot90(map, -1))
    x, y, width, height = place
    assert np.allclose(box(tab), [SIZE[0] - y - height, x, height, width])
    assert [tab.text(f".edge.{edge}") for edge in edges] == list("RHLF")
    assert tab.text(".turn") == "Rotated 90°"

    tab.key("x").settled()
    assert np.array_equal(grey(tab, *SIZE[::-1]), np.rot90(upright, -1)[:, ::-1])
    assert np.array_equal(grey(tab, *SIZE[::-1], "canvas.heat"), np.rot90(map, -1)[:, ::-1])
    assert [tab.text(f".edge.{edge}") for edge in edges] == list("RFLH")
    assert tab.text(".turn") == "Rotated 90° · mirrored"
    tab.key("l")
    drag(tab, 30, 40)
    assert tab.page.locator("text.length").first.text_content() == "10.0 mm"
    tab.page.mouse.move(*np.add(at(tab), (0.5, 0.5)))
    assert "(0, 0)" in tab.text("#state"), "the place in the file, whose first pixel is now the one at the top left"

    tab.key("r").settled()
    assert tab.text(".turn") == ""
    assert np.array_equal(grey(tab.key("1").settled(), *SIZE), upright)


def test_the_value_under_the_pointer_disappears_with_its_radiograph(viewer: Tab, predictions: list[Any]) -> None:
    box = viewer.page.locator("#stage").bounding_box()
    assert box is not None
    viewer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    viewer.page.wait_for_selector("#state:has-text('):')")

    viewer.view(predictions[1]["id"])

    assert "):" not in viewer.text("#state")

from base64 import b64decode
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser
from pydicom import Dataset
from pydicom.pixels import apply_voi_lut
from scipy.special import logit

from tests.service.web.chromium import LANDSCAPE, SIZES, Modules, Tab
from tests.service.web.running import clouds, post, radiograph

HEIGHT, WIDTH = 520, 560  # fits every stage at 1:1
STORED = clouds(HEIGHT, WIDTH, seed=1)
TWO_WINDOWS = {
    "WindowCenter": [2048, 1500],
    "WindowWidth": [4096, 1000],
    "WindowCenterWidthExplanation": ["NORMAL", "HARDER"],
}
GEOMETRY = {"PatientOrientation": ["L", "F"], "PixelSpacing": [0.2, 0.2]}
STUDY = {"StudyDate": "20250305", "StudyTime": "101530.5"}


@pytest.fixture(scope="module")
def predictions(service: httpx.Client) -> list[dict[str, Any]]:
    """A radiograph with everything that the viewer can show, and two others."""
    first = post(service, radiograph(1, (HEIGHT, WIDTH), **TWO_WINDOWS, **GEOMETRY, **STUDY))
    inverse = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": None, "WindowWidth": None}
    second = post(service, radiograph(2, (400, 300), **inverse))
    return [first, second, post(service, radiograph(3, (256, 300), PixelSpacing=[0.2, 0.1]))]


@pytest.fixture
def viewer(tab: Tab, predictions: list[dict[str, Any]]) -> Tab:
    return tab.view(predictions[0]["id"])


def grey(tab: Tab, height: int = HEIGHT, width: int = WIDTH, canvas: str = "canvas.radiograph") -> np.ndarray:
    """Return the grey values [H, W] at the centre of a canvas, where the image is at 1:1."""
    script = """([selector, height, width]) => {
        const canvas = document.querySelector(selector);
        const [x, y] = [Math.round((canvas.width - width) / 2), Math.round((canvas.height - height) / 2)];
        const { data } = canvas.getContext("2d").getImageData(x, y, width, height);
        let text = "";
        for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at]);
        return btoa(text);
    }"""
    values = b64decode(tab.page.evaluate(script, [canvas, height, width]))
    return np.frombuffer(values, np.uint8).reshape(height, width).astype(int)


def size_of(tab: Tab, canvas: str) -> tuple[int, int]:
    width, height = tab.page.locator(canvas).evaluate("(one) => [one.width, one.height]")
    return width, height


def place(stage: float, image: int) -> int:
    return int(np.floor((stage - image) / 2 + 0.5))


def screen(tab: Tab) -> np.ndarray:
    """Return the screen pixels [H, W, 3] where the image is at 1:1, without the text over it."""
    box = tab.page.locator('[data-pane="overlay"] canvas.radiograph').bounding_box()
    assert box is not None
    left, top = box["x"] + place(round(box["width"]), WIDTH), box["y"] + place(round(box["height"]), HEIGHT)
    assert left == round(left), "the browser would blur an image between pixels"
    assert top == round(top)
    clip = {"x": left, "y": top, "width": WIDTH, "height": HEIGHT}
    show = "(all, how) => all.forEach((one) => { one.style.visibility = how; })"
    tab.page.locator(".corner, .edge").evaluate_all(show, "hidden")
    shot = tab.page.screenshot(clip=clip)  # type: ignore[arg-type]
    tab.page.locator(".corner, .edge").evaluate_all(show, "")
    return np.asarray(Image.open(BytesIO(shot)).convert("RGB")).astype(int)


def at(tab: Tab) -> tuple[float, float]:
    """Return the position of the image on the screen."""
    box = tab.page.locator("canvas.radiograph").bounding_box()
    assert box is not None
    return box["x"], box["y"]


def windowed(center: float, width: float) -> np.ndarray:
    """Return the grey values that pydicom computes."""
    dataset = Dataset()
    dataset.BitsStored, dataset.PixelRepresentation, dataset.PhotometricInterpretation = 12, 0, "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = center, width
    return np.asarray(apply_voi_lut(STORED, dataset) / 4095 * 255)


def picture(service: httpx.Client, path: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(service.get(path).content)))


def window(tab: Tab) -> tuple[float, float]:
    return float(tab.page.input_value("#level")), float(tab.page.input_value("#width"))


def drag(tab: Tab, dx: int, dy: int, **options: Any) -> None:
    box = tab.page.locator("#stage").bounding_box()
    assert box is not None
    x, y = round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)
    tab.page.mouse.move(x, y)
    tab.page.mouse.down(**options)
    tab.page.mouse.move(x + dx // 2, y + dy // 3)
    tab.page.mouse.move(x + dx, y + dy)
    tab.page.mouse.up(**options)
    tab.settled()


@pytest.mark.parametrize(("size", "colormap"), [*((size, "viridis") for size in SIZES), (LANDSCAPE, "inferno")])
def test_the_overlay_equals_that_of_the_service(
    browser: Browser, service: httpx.Client, predictions: list[Any], size: tuple[int, int], colormap: str
) -> None:
    tab = Tab(browser, str(service.base_url).rstrip("/"), size).view(predictions[0]["id"])
    query, finding = "box=0&map=heat_map", predictions[0]["findings"][3]["label"]
    tab.page.select_option("#map", "")
    if colormap == "inferno":
        query = f"box=0&alpha=0.7&colormap=inferno&finding={finding}"
        tab.page.select_option("#colours", "inferno")
        tab.page.select_option("#map", finding)
        tab.page.locator("#opacity").fill("70")
    tab.page.click('[data-key="1"]')
    tab.settled()

    actual = screen(tab)

    expected = picture(service, f"{predictions[0]['links']['overlay']}?{query}")[:HEIGHT].astype(int)
    assert np.abs(actual - expected).max() <= 3  # the browser keeps colours multiplied by their opacity, in 8 bits
    assert np.ptp(actual, axis=2).max() > 20, "there is colour"
    tab.close()
    assert tab.problems() == []


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


def test_map_and_box_are_off_first_and_h_is_held_or_toggled(
    viewer: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    leading = leading_of(predictions[0])
    rows = service.get(f"/v1/predictions/{predictions[0]['id']}/maps.json").json()["heat_map"]
    viewer.key("1").settled()
    bare = screen(viewer)
    assert (bare == bare[..., :1]).all(), "no colour"
    assert viewer.page.locator("rect.box").count() == 0
    assert not viewer.page.locator("#crop").is_visible()
    assert viewer.text("#legend").startswith(f"Map off · H shows that of {leading}")
    place = viewer.page.locator("#stage").bounding_box()

    viewer.page.keyboard.down("h")
    viewer.page.wait_for_timeout(500)
    viewer.settled()
    coloured = screen(viewer)
    assert np.ptp(coloured, axis=2).max() > 20
    legend = viewer.text("#legend-text")
    grid = f"{len(rows[0])} × {len(rows)} cells"
    assert legend == f"Map of {leading} · {grid} · scaled to its own maximum · not an outline of disease"
    assert viewer.page.locator("#stage").bounding_box() == place, "the radiograph does not move"
    viewer.page.keyboard.up("h")
    viewer.settled()
    assert (screen(viewer) == bare).all(), "a key that was held"

    viewer.key("h").key("g").settled()
    assert viewer.pressed("h")
    assert viewer.page.get_attribute('#viewer [data-key="g"]', "aria-pressed") == "true"
    cells = screen(viewer)
    viewer.key("g").settled()
    assert (cells != coloured).any()
    assert (screen(viewer) == coloured).all(), "a key that was pressed"
    viewer.key("h").key("b").settled()
    assert (screen(viewer) != bare).any(), "the box was drawn"
    assert viewer.page.locator("#crop").is_visible()
    viewer.key("h").view(predictions[1]["id"])
    assert [viewer.pressed(key) for key in "hb"] == [False, False], "off first for the next radiograph, too"


def leading_of(prediction: dict[str, Any]) -> str:
    """Return the label of the finding that is farthest above its threshold of those that made the priority."""
    made = [one for one in prediction["findings"] if one["label"] in prediction["reason"]]
    label: str = max(made, key=lambda one: logit(one["probability"]) - logit(one["threshold"]))["label"]
    return label


def test_without_a_positive_finding_there_is_no_map_until_a_finding_is_chosen(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    """Who it is, and what warns against it, stays in sight however the panel is scrolled."""
    negative = [one | {"positive": False} for one in predictions[0]["findings"]]
    flags = ["view_position_missing", "atypical_image"]
    changed = predictions[0] | {"findings": negative, "reason": [], "priority": "ROUTINE", "flags": flags}
    tab.page.route(f"**/predictions/{changed['id']}", lambda route: route.fulfill(json=changed))
    card = service.get("/v1/model").json()
    card["localisation"] = {"boxes": 40, "peak": 0.225, "fixed_cell": 0.16}
    tab.page.route("**/v1/model", lambda route: route.fulfill(json=card))
    tab.view(changed["id"]).key("1").key("h").settled()

    values = screen(tab)
    assert (values == values[..., :1]).all(), "no colour"
    assert tab.text("#legend") == "No map: no finding is above its operating point; click a finding to see its map"
    warning = "Not like the radiographs the network knows: do not rely on this."
    assert tab.page.locator("#flags li").all_inner_texts() == [warning, "View position not stated"]
    assert tab.text("#corner-verdict").split("\n") == ["Routine: No finding above its operating point", warning]
    assert tab.text("#corner-patient").split("\n")[::2] == [tab.text("#patient"), "2025-03-05 10:15"]
    tab.page.locator("#bars button").nth(2).click()
    assert np.ptp(screen(tab.settled()), axis=2).max() > 20
    measured = tab.text("#legend-measured").partition(": ")
    assert measured[0] == "Tested on 40 boxes that radiologists drew"
    assert measured[2] == "the overall map's peak is inside 23 %, one fixed cell inside 16 %"
    legend, stage = (tab.page.locator(part).bounding_box() for part in ("#legend", "#stage"))
    assert legend is not None
    assert stage is not None
    assert legend["y"] >= stage["y"] + stage["height"], "it covers nothing of the radiograph"

    rest = tab.page.locator("#panel-rest")
    rest.evaluate("one => one.scrollTo(0, 10_000)")
    assert rest.evaluate("one => one.scrollTop") > 50
    for part in ("#patient", "#study", "#priority", "#flags"):
        box = tab.page.locator(part).bounding_box()
        assert box is not None
        assert 0 < box["y"] < 400, part
    tab.view(predictions[1]["id"])
    assert rest.evaluate("one => one.scrollTop") == 0


def test_the_box_is_at_the_place_that_the_prediction_states(viewer: Tab, predictions: list[Any]) -> None:
    viewer.key("1").key("b").settled()
    rect = viewer.page.locator("rect.box")
    actual = [float(rect.get_attribute(name) or "nan") for name in ("x", "y", "width", "height")]
    stage = viewer.page.locator("#stage").bounding_box()
    assert stage is not None

    x0, y0, x1, y1 = predictions[0]["box"]
    assert actual == [x0 + place(stage["width"], WIDTH), y0 + place(stage["height"], HEIGHT), x1 - x0, y1 - y0]


def test_a_click_on_a_finding_shows_its_map_and_a_second_click_hides_it(viewer: Tab) -> None:
    button = viewer.page.locator("#bars button").nth(2)
    label = button.get_attribute("data-label")
    viewer.key("1").settled()
    bare = screen(viewer)

    button.click()
    viewer.settled()

    assert viewer.page.input_value("#map") == label
    assert button.get_attribute("aria-pressed") == "true"
    assert (screen(viewer) != bare).any()
    button.click()
    assert (screen(viewer.settled()) == bare).all()
    assert button.get_attribute("aria-pressed") == "false"


def test_o_shows_original_and_overlay_side_by_side_with_a_common_view(viewer: Tab) -> None:
    viewer.key("h").key("o").settled()

    names = viewer.page.locator(".pane").evaluate_all("panes => panes.map((pane) => pane.dataset.pane)")
    assert names == ["original", "overlay"]
    assert not viewer.page.locator('[data-pane="original"] canvas.heat').is_visible()
    assert viewer.page.locator('[data-pane="overlay"] canvas.heat').is_visible()
    same = """() => {
        const [one, two] = [...document.querySelectorAll("canvas.radiograph")].map((canvas) => canvas.toDataURL());
        return one === two;
    }"""
    assert viewer.page.evaluate(same)
    drag(viewer, 50, 50)
    assert viewer.page.evaluate(same)
    viewer.key("o").settled()
    assert viewer.page.locator(".pane").count() == 1


def test_the_reason_comes_first_and_s_adds_the_scores_of_the_branches(viewer: Tab, predictions: list[Any]) -> None:
    findings = {one["label"]: one for one in predictions[0]["findings"]}
    reason = predictions[0]["reason"]
    others = [one["label"] for one in findings.values() if one["positive"] and one["label"] not in reason]
    assert reason
    assert others
    named, also = (", ".join(name.replace("_", " ").capitalize() for name in names) for names in (reason, others))
    assert viewer.text("#sentence") == f"{named}. Also {also}"
    assert not viewer.page.locator("#bars .scores").first.is_visible()

    viewer.key("s")

    assert viewer.pressed("s")
    for button in viewer.page.locator("#bars button").all():
        one = findings[button.get_attribute("data-label") or ""]
        shown = [button.locator(".probability").inner_text(), *button.locator(".score").all_inner_texts()]
        expected = [one["probability"], one["global"], one["local"]]
        assert [float(score) for score in shown] == pytest.approx(expected, abs=0.0051)


def test_an_operating_point_is_marked_and_described_on_focus_and_hover(viewer: Tab, predictions: list[Any]) -> None:
    """The test artefact has a threshold of 0.5 for all findings but Hernia, which has none."""
    hernia = viewer.page.locator('#bars [data-label="Hernia"]')
    mass = viewer.page.locator('#bars [data-label="Mass"]')

    hernia.focus()
    assert "No operating point" in viewer.text("#detail")
    assert not hernia.locator(".mark-line").is_visible()
    mass.hover()
    assert viewer.text("#detail") == "Mass. Operating point 0.50: sensitivity 0.40, specificity 0.95."
    track, mark = (mass.locator(one).bounding_box() for one in (".track", ".mark-line"))
    assert track is not None
    assert mark is not None
    assert mark["x"] + 1 == pytest.approx(track["x"] + track["width"] / 2, abs=1)


def test_the_crop_equals_that_of_the_service(viewer: Tab, service: httpx.Client, predictions: list[Any]) -> None:
    viewer.key("b")
    crop = Image.open(BytesIO(service.get(predictions[0]["links"]["crop"]).content))
    canvas = size_of(viewer, "#crop")
    scale = min(canvas[0] / crop.width, canvas[1] / crop.height)
    wide, high = round(crop.width * scale), round(crop.height * scale)

    shown = grey(viewer, high, wide, "#crop")

    expected = np.asarray(crop.resize((wide, high), Image.Resampling.BILINEAR), float)
    assert np.abs(shown - expected)[4:-4, 4:-4].max() <= 3  # the browser interpolates differently


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
    viewer.key("p")
    drag(viewer, 9, 9)
    assert window(viewer) == (2048, 4096), "the tool pans"
    assert viewer.pressed("p")


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
    assert viewer.page.locator("text.length").count() == 0


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


def test_j_and_k_step_through_the_list_and_m_marks_as_read(
    viewer: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    order = [entry["id"] for entry in service.get("/v1/worklist").json()["items"]]
    viewer.view(order[0])

    viewer.key("k")
    viewer.page.wait_for_selector("#toast:has-text('first')")
    for id in order[1:]:
        viewer.key("j")
        viewer.drawn(id)
    viewer.key("j")
    viewer.page.wait_for_selector("#toast:has-text('last')")
    viewer.page.fill("#reader", "Dr R")
    viewer.page.locator("#stage").focus()
    viewer.key("m")
    viewer.page.wait_for_selector("#read:has-text('Read by Dr R')")
    assert viewer.pressed("m")
    assert service.get(f"/v1/worklist/{order[-1]}").json()["read"]["by"] == "Dr R"
    viewer.key("k")
    viewer.drawn(order[-2])
    viewer.key("Escape")
    viewer.page.wait_for_selector("#worklist:not([hidden])")


def test_every_key_is_listed_and_single_keys_can_be_switched_off(viewer: Tab) -> None:
    viewer.key("?")
    listed = viewer.page.locator("#help kbd").all_inner_texts()
    assert set("AHGBSOWJKMIRF1LDP?UN/") <= set(listed)
    viewer.page.uncheck("#keys-on")
    viewer.key("Escape")
    assert not viewer.page.locator("#help").is_visible()
    assert viewer.page.locator("#viewer").is_visible()

    viewer.key("h")
    assert not viewer.pressed("h"), "it stayed off"
    viewer.page.click("#help-button")
    viewer.page.check("#keys-on")
    viewer.key("Escape").key("h")
    assert viewer.pressed("h")


def test_a_radiograph_that_does_not_exist_is_reported(tab: Tab, predictions: list[Any]) -> None:
    tab.expected += ("404",)
    tab.open("#/0123456789abcdef")

    tab.page.wait_for_selector("#stage-message:has-text('There is no radiograph at this address')")
    assert not tab.page.locator("#panel h2").is_visible()
    tab.key("m").key("i").key("h").key("1").key("Escape")
    tab.page.wait_for_selector("#worklist:not([hidden])")


def test_while_a_radiograph_loads_nothing_of_the_last_patient_is_shown(tab: Tab, predictions: list[Any]) -> None:
    tab.page.route(f"**/{predictions[1]['id']}/pixels", lambda route: None)  # never answered
    tab.view(predictions[0]["id"])
    assert tab.page.locator("#patient").is_visible()

    tab.open(f"#/{predictions[1]['id']}")

    tab.page.wait_for_selector("#stage-message:has-text('Loading')")
    for place in ("#patient", "#sentence", "canvas.radiograph", "#crop", "#state"):
        assert not tab.page.locator(place).is_visible(), place
    tab.key("m")
    assert tab.page.locator("#toast").inner_text() == ""


def test_the_value_under_the_pointer_disappears_with_its_radiograph(viewer: Tab, predictions: list[Any]) -> None:
    box = viewer.page.locator("#stage").bounding_box()
    assert box is not None
    viewer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    viewer.page.wait_for_selector("#state:has-text('):')")

    viewer.view(predictions[1]["id"])

    assert "):" not in viewer.text("#state")


def test_a_radiograph_deleted_elsewhere_disappears_from_the_screen(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    gone = post(service, radiograph(9))["id"]
    tab.view(gone)
    tab.page.wait_for_selector('#live[data-state="live"]')

    service.delete(f"/v1/predictions/{gone}").raise_for_status()

    tab.page.wait_for_selector("#stage-message:has-text('This radiograph was deleted')")
    assert not tab.page.locator("#patient").is_visible()
    assert not tab.page.locator("canvas.radiograph").is_visible()


def test_arrow_keys_move_a_slider_and_a_menu_returns_the_focus_to_the_image(viewer: Tab) -> None:
    active = "() => document.activeElement.id"
    viewer.page.focus("#opacity")
    here = at(viewer)
    viewer.key("ArrowRight").key("ArrowLeft").key("ArrowLeft")
    assert viewer.page.input_value("#opacity") == "55"
    assert at(viewer.settled()) == here

    viewer.page.click("#colours")
    viewer.page.select_option("#colours", index=1)
    assert viewer.page.evaluate(active) == "stage"


def test_a_held_key_marks_once_but_steps_repeatedly(modules: Modules) -> None:
    held = """async ({ listen }) => {
        const called = [];
        listen(() => ({ m: () => called.push("m"), j: () => called.push("j") }));
        for (const [key, repeat] of [["m", false], ["m", true], ["j", false], ["j", true]]) {
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key, repeat, bubbles: true }));
        }
        return called;
    }"""
    assert modules.call("keys.js", held) == ["m", "j", "j"]


def test_downloads_of_skipped_radiographs_are_aborted_and_leaving_clears_the_memory(modules: Modules) -> None:
    script = """async ({ Radiographs }) => {
        const stopped = [];
        window.fetch = (address, { signal }) => new Promise((resolve, reject) => {
            const stop = () => {
                stopped.push(new URL(address).pathname);
                reject(signal.reason);
            };
            signal.addEventListener("abort", stop);
        });
        const radiographs = new Radiographs();
        for (const id of ["a", "b"]) radiographs.load(id).catch(() => {});
        const passed = stopped.filter((path) => path.endsWith("/pixels"));
        const held = ["a", "b"].map((id) => radiographs.has(id));
        radiographs.clear();
        return [passed, held, radiographs.has("b"), stopped.length];
    }"""
    pixels = ["/v1/predictions/a/pixels"]
    assert modules.call("radiographs.js", script) == [pixels, [False, True], False, 6]


def test_the_next_radiograph_is_announced_and_the_focus_moves_to_the_image(viewer: Tab, predictions: list[Any]) -> None:
    viewer.page.locator("#bars button").first.focus()

    viewer.view(predictions[1]["id"])

    assert viewer.page.evaluate("() => document.activeElement.id") == "stage"
    announcement = f"{viewer.page.text_content('#priority')}: {viewer.page.text_content('#sentence')}"
    assert viewer.page.get_by_role("status").get_by_text(announcement).count() == 1


def test_a_read_mark_of_another_user_is_shown_at_once(
    viewer: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    viewer.page.wait_for_selector('#live[data-state="live"]')
    assert viewer.text("#read") == "Not read"

    service.patch(f"/v1/predictions/{predictions[0]['id']}", json={"read": True, "by": "CD"}).raise_for_status()

    viewer.page.wait_for_selector("#read:has-text('Read by CD')")
    service.patch(f"/v1/predictions/{predictions[0]['id']}", json={"read": False}).raise_for_status()
    viewer.page.wait_for_selector("#read:has-text('Not read')")


def test_linked_objects_can_be_saved(tab: Tab, service: httpx.Client, predictions: list[Any]) -> None:
    links = predictions[0]["links"] | {"new_object": predictions[0]["links"]["image"]}  # any path will do
    tab.page.route(
        f"**/predictions/{predictions[0]['id']}", lambda route: route.fulfill(json=predictions[0] | {"links": links})
    )
    tab.view(predictions[0]["id"])

    with tab.page.expect_download() as started:
        tab.page.click("#downloads button:has-text('Save New object')")

    assert started.value.suggested_filename == "A1_image.png"
    assert started.value.path().read_bytes() == service.get(predictions[0]["links"]["image"]).content

"""The findings in the viewer: their numbers, the map and the box."""

from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser
from scipy.special import logit

from tests.service.web.chromium import LANDSCAPE, SIZES, Tab
from tests.service.web.viewing import HEIGHT, WIDTH, drag, grey, picture, place, screen, size_of


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

    with viewer.held("h", 0.5):
        viewer.settled()
        coloured = screen(viewer)
        assert np.ptp(coloured, axis=2).max() > 20
        legend = viewer.text("#legend-text")
        grid = f"{len(rows[0])} × {len(rows)} cells"
        assert legend == f"Map of {leading} · {grid} · scaled to its own maximum · not an outline of disease"
        assert viewer.page.locator("#stage").bounding_box() == place, "the radiograph does not move"
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

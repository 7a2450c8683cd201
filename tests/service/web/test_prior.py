"""The prior beside the open radiograph."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Route

from tests.service.web.chromium import Modules, Tab
from tests.service.web.running import post, radiograph
from tests.service.web.viewing import drag

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
PATIENT = {"PatientName": "Doe^Jane", "PatientID": "P-7", "PatientSex": "F", "PatientAge": "055Y", **WINDOW}
RECT = """(name) => {
    const { width, height } = document.querySelector(`[data-pane="${name}"] canvas.radiograph`);
    return [width, height];
}"""


@pytest.fixture(scope="module")
def studies(service: httpx.Client) -> dict[str, dict[str, Any]]:
    """Predictions of one patient's radiographs at three dates, and of a patient without an ID."""
    files = {
        "current": radiograph(51, (400, 300), StudyDate="20261105", PixelSpacing=[0.4, 0.4], **PATIENT),
        "last": radiograph(52, (600, 500), StudyDate="20260801", PixelSpacing=[0.2, 0.2], **PATIENT),
        "first": radiograph(53, (300, 300), StudyDate="20240101", **PATIENT | {"PatientName": "Roe^Jane"}),
        "nobody": radiograph(54, StudyDate="20261105", **PATIENT | {"PatientID": ""}),
    }
    return {name: post(service, data) for name, data in files.items()}


def test_it_stands_beside_with_its_date_the_same_view_and_window_and_the_changes(
    tab: Tab, studies: dict[str, dict[str, Any]]
) -> None:
    current, last, first = (studies[name] for name in ("current", "last", "first"))
    tab.view(current["id"])
    tab.page.locator("#prior-list button").nth(1).wait_for()
    assert tab.page.locator("#prior-list button").count() == 2
    assert tab.page.locator(".pane").count() == 1, "a reader looks at each radiograph alone first"

    tab.key("p")
    tab.page.wait_for_selector(".prior-word")
    tab.key("1").settled()
    caption = tab.text(".caption").split("\n")
    assert caption[:4] == ["Prior", "2026-08-01", "3 months earlier · PA", "Doe, Jane"]
    assert "Same scale in millimetres" in caption
    assert tab.pressed("p")
    verdict = tab.page.locator("#corner-verdict").bounding_box()
    pane = tab.page.locator('[data-pane="prior"]').bounding_box()
    assert verdict is not None
    assert pane is not None
    assert verdict["x"] + verdict["width"] < pane["x"], "what is said of the current one is not on the prior"
    assert tab.page.evaluate(RECT, "overlay") == [300, 400]
    assert tab.page.evaluate(RECT, "prior") == [250, 300], "half as large a pixel at the same scale"
    tab.key("t").settled()
    assert tab.page.evaluate(RECT, "prior") == [250, 300], "only the current one is turned"
    assert tab.page.locator(".turn").all_inner_texts() == ["Rotated 90°", ""]
    tab.key("r").key("+").settled()

    before = {one["label"]: one["probability"] for one in last["findings"]}
    for one in current["findings"]:
        sentence = tab.text(f'#bars [data-label="{one["label"]}"] .change-words')
        difference = round(one["probability"], 2) - round(before[one["label"]], 2)
        word = "higher" if difference > 0 else "lower"
        change = f"{abs(difference):.2f} {word} than" if abs(difference) > 0.005 else "the same as"
        assert sentence == f"{one['probability']:.2f}, {change} on 2026-08-01."

    drawn = "() => document.querySelector('[data-pane=\"prior\"] canvas.radiograph').toDataURL()"
    plain = tab.page.evaluate(drawn)
    drag(tab, 200, 60)
    windowed = tab.page.evaluate(drawn)
    assert windowed != plain, "the window follows"
    tab.key("l")
    box = tab.page.locator("#stage").bounding_box()
    assert box is not None
    x, y = box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"]
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 40, y + 40)
    tab.page.mouse.up()
    assert tab.page.locator("text.length").count() == 0, "a length on the prior would be one on the current image"
    assert "):" not in tab.text("#state"), "nor is there a value of another image"

    tab.page.locator("#prior-list button").nth(1).click()
    tab.page.wait_for_selector(".caption:has-text('2 years earlier')")
    assert "Other name under the same patient ID" in tab.text(".caption")
    assert "Fitted to the same height" in tab.text(".caption")
    tab.key("o").settled()
    names = tab.page.locator(".pane").evaluate_all("panes => panes.map((pane) => pane.dataset.pane)")
    assert names == ["original", "overlay"]
    assert not tab.pressed("p")
    assert tab.page.locator(".change").count() == 0
    tab.key("o").key("p")
    tab.page.wait_for_selector(".prior-word")
    tab.view(first["id"])
    assert tab.page.locator(".pane").count() == 1
    assert tab.page.locator("#priors").is_hidden()
    tab.key("p")
    tab.page.wait_for_selector("#toast:has-text('no other study of this patient here is known to be earlier')")
    tab.view(studies["nobody"]["id"]).key("p")
    tab.page.wait_for_selector("#toast:has-text('No prior: the file states no patient ID')")


def test_numbers_of_another_artefact_are_not_compared(tab: Tab, studies: dict[str, dict[str, Any]]) -> None:
    last = studies["last"]
    other = last | {"model": last["model"] | {"sha256": "ab" * 32, "version": "0.1"}}
    tab.page.route(f"**/predictions/{last['id']}", lambda route: route.fulfill(json=other))
    tab.view(studies["current"]["id"]).key("p")

    tab.page.wait_for_selector("#changes:has-text('Other artefact on 2026-08-01')")
    assert "abababababab): no change is shown" in tab.text("#changes")
    assert tab.page.locator(".change").count() == 0


def test_a_prior_that_is_asked_for_before_it_is_known_is_shown(tab: Tab, studies: dict[str, dict[str, Any]]) -> None:
    def answer_after_the_key(route: Route) -> None:
        tab.key("p")
        route.continue_()

    tab.page.route("**/priors", answer_after_the_key, times=1)

    tab.view(studies["current"]["id"])

    tab.page.wait_for_selector(".caption:has-text('3 months earlier')")


def test_intervals_in_words(modules: Modules) -> None:
    dates = [
        "20261105",
        "20261104",
        "20261022",
        "20261021",
        "20260906",
        "20260905",
        "20241106",
        "20241105",
        "",
        "20270101",
    ]
    script = "(module, dates) => dates.map((date) => module.howMuchEarlier(date, '20261105'))"

    words = [text.removesuffix(" earlier") for text in modules.call("interval.js", script, dates)]

    expected = ["earlier the same day", "1 day", "2 weeks", "2 weeks", "8 weeks", "2 months", "23 months", "2 years"]
    assert words == [*expected, "", ""]


def test_the_window_of_the_prior_follows_in_its_own_values(modules: Modules) -> None:
    def window(name: str, center: float, width: float, function: str = "LINEAR") -> dict[str, Any]:
        return {"name": name, "center": center, "width": width, "function": function}

    own = [window("NORMAL", 2000, 4000), window("automatic", 1500, 1000), window("HARDER", 2000, 900)]
    presets = [window("window 1", 500, 400, "SIGMOID"), window("automatic", 450, 200)]
    by_hand = window("NORMAL", 2400, 3000)
    script = "(module, ...args) => module.linkedWindow(...args)"

    def linked(preset: int | None, chosen: dict[str, Any]) -> Any:
        return modules.call("linked.js", script, {"window": chosen, "preset": preset, "presets": own}, presets)

    assert linked(0, own[0]) == presets[0], "each in the window of its file"
    assert linked(1, own[1]) == presets[1], "the preset of the same name"
    assert linked(None, by_hand) == window("window 1", 540, 300, "SIGMOID"), "by the same share"
    assert linked(2, own[2]) == window("window 1", 500, 90, "SIGMOID"), "a preset that the prior does not have"

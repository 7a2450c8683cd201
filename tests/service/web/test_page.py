import csv
import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FileChooser

from tests.factories import dicom_bytes, noise
from tests.service.web.chromium import LANDSCAPE, PORTRAIT, WEB, Tab
from tests.service.web.running import post, radiograph, running


@pytest.fixture(scope="module")
def predictions(service: httpx.Client) -> list[dict[str, Any]]:
    missing = {"ViewPosition": None, "PatientOrientation": ["L", "F"]}
    return [post(service, radiograph(number, **missing)) for number in range(3)]


# Uploads


def upload(*numbers: int, **elements: Any) -> list[Any]:
    return [
        {"name": f"{number}.dcm", "mimeType": "application/dicom", "buffer": radiograph(number, **elements)}
        for number in numbers
    ]


def test_each_uploaded_file_has_a_progress_bar_and_appears_in_the_list(tab: Tab, service: httpx.Client) -> None:
    tab.open()
    tab.page.wait_for_selector("#upload-button")
    before = service.get("/v1/worklist").json()["total"]
    bars = """() => {
        window.bars = 0;
        const list = document.getElementById("upload-list");
        const count = () => (window.bars = Math.max(window.bars, list.querySelectorAll("progress").length));
        new MutationObserver(count).observe(list, { childList: true });
    }"""
    tab.page.evaluate(bars)

    tab.page.set_input_files("#files", upload(10, 11, 12, 13))

    tab.page.wait_for_function("() => document.querySelectorAll('#upload-list [data-state=accepted]').length === 4")
    assert tab.page.evaluate("() => window.bars") == 4
    tab.page.wait_for_function(f"() => document.querySelectorAll('#rows tr').length === {before + 4}")
    assert service.get("/v1/worklist").json()["total"] == before + 4
    tab.page.locator("#upload-list a").first.click()
    tab.page.wait_for_selector("#viewer[data-shown]")


def test_a_refused_file_shows_its_reasons_and_does_not_affect_others(tab: Tab, predictions: list[Any]) -> None:
    tab.expected += ("422", "400")
    tab.open().listed()
    lateral = dicom_bytes(noise(), ViewPosition="LL", Modality="CT", SOPInstanceUID="2.25.7")
    files = [
        {"name": "lateral<b>.dcm", "mimeType": "application/dicom", "buffer": lateral},
        {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"no radiograph"},
        *upload(20),
    ]

    tab.page.set_input_files("#files", files)

    tab.page.wait_for_selector("#upload-list [data-state=accepted]")
    refused = tab.page.locator("#upload-list [data-state=refused]")
    refused.nth(1).wait_for()
    lines = {one.locator(".file").inner_text(): one.inner_text() for one in refused.all()}
    assert "Refused: Not a frontal chest radiograph" in lines["lateral<b>.dcm"]
    assert "Modality is CT; CR or DX is expected" in lines["lateral<b>.dcm"]
    assert "ViewPosition is LL; PA or AP is expected" in lines["lateral<b>.dcm"]
    assert "Refused: Not a readable DICOM file" in lines["letter.txt"]


def test_the_empty_page_offers_the_samples(tab: Tab, service: httpx.Client) -> None:
    empty = {"items": [], "next": None, "total": 0, "unread": {"STAT": 0, "HIGH": 0, "ROUTINE": 0}}
    tab.page.route("**/v1/worklist/search", lambda route: route.fulfill(json=empty | {"oldest_unread_stat": None}))
    tab.open()
    button = tab.page.get_by_role("button", name="Try the samples")
    button.wait_for()

    button.click()

    tab.page.unroute("**/v1/worklist/search")
    tab.page.wait_for_function("() => document.querySelectorAll('#upload-list [data-state=accepted]').length === 5")
    tab.page.wait_for_selector('#live[data-state="live"]')
    post(service, radiograph(40))  # so that the list is fetched again, where all samples came while it was kept empty
    button.wait_for(state="hidden")
    listed = service.post("/v1/worklist/search", json={"q": "phantom^"}).json()
    assert listed["total"] == 5


def test_files_can_be_dropped(tab: Tab, predictions: list[Any]) -> None:
    tab.open().listed()
    drop = """(text) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], "dropped.dcm"));
        const over = new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true });
        document.body.dispatchEvent(over);
        const shown = !document.getElementById("drop").hidden;
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        return [over.defaultPrevented, shown, document.getElementById("drop").hidden];
    }"""

    sent_text = b64encode(radiograph(30, (256, 256))).decode()
    assert tab.page.evaluate(drop, sent_text) == [True, True, True]

    tab.page.wait_for_selector("#upload-list [data-state=accepted]:has-text('dropped.dcm')")


def test_u_opens_the_file_dialog(tab: Tab) -> None:
    chosen: list[FileChooser] = []
    tab.page.on("filechooser", lambda chooser: chosen.append(chooser))  # before open(): it takes effect with a delay
    tab.open()
    tab.page.wait_for_selector('#live[data-state="live"]')

    with tab.page.expect_file_chooser():
        tab.key("u")

    tab.page.wait_for_timeout(500)  # for a second one
    assert [chooser.is_multiple() for chooser in chosen] == [True]


# Access


@pytest.fixture(scope="module")
def locked(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a service that requires keys, and its first key."""
    folder = tmp_path_factory.mktemp("locked")
    with running(artefact, folder, TRIAGE_HTTP__KEYS="always") as client:
        key = (folder / "data" / "first_key").read_text().strip()
        client.headers["Authorization"] = f"Bearer {key}"
        post(client, radiograph(1))
        yield str(client.base_url).rstrip("/"), key


def test_the_page_asks_for_a_required_key_and_keeps_it_in_the_tab(browser: Browser, locked: tuple[str, str]) -> None:
    address, key = locked
    tab = Tab(browser, address)
    tab.expected += ("401",)
    addresses: list[str] = []
    tab.page.on("request", lambda request: addresses.append(request.url))
    tab.open()
    tab.page.wait_for_selector("#key-dialog[open]")
    assert tab.page.evaluate("() => document.activeElement.id") == "key"

    tab.page.fill("#key", "schlüssel")
    tab.key("Enter")
    tab.page.wait_for_selector("#key-reason:has-text('ASCII letters')")
    tab.page.fill("#key", "wrong")
    tab.key("Enter")
    tab.page.wait_for_selector("#key-reason:has-text('unknown or has been revoked')")
    tab.page.fill("#key", key)
    tab.key("Enter")

    (id,) = tab.listed()
    tab.page.wait_for_selector('#live[data-state="live"]')
    tab.view(id)
    with tab.page.expect_download() as started:
        tab.key("Escape")
        tab.page.click("#export")
    [exported] = csv.DictReader(started.value.path().read_text().splitlines())
    assert exported["id"] == id
    tab.page.set_input_files("#files", upload(2))
    tab.page.wait_for_selector("#upload-list [data-state=accepted]")

    tab.page.evaluate("() => sessionStorage.removeItem('triage-reader-asked')")  # which the tab has from the start
    kept = tab.page.evaluate("() => [Object.values(sessionStorage), Object.keys(localStorage), document.cookie]")
    assert kept == [[key], [], ""]
    assert not any(key in one for one in addresses)
    tab.page.reload()
    assert len(tab.listed()) == 2
    other = tab.beside()
    other.goto(address)
    other.wait_for_selector("#key-dialog[open]")
    tab.close()
    assert tab.problems() == []


def test_a_page_opened_before_the_service_answers_loads_later(tab: Tab, predictions: list[Any]) -> None:
    tab.expected += ("ERR_FAILED",)
    tab.page.route("**/v1/model", lambda route: route.abort())
    tab.open()
    tab.page.wait_for_selector("#live:has-text('Not connected')")
    assert "does not answer" in tab.text("#toast")

    tab.page.unroute("**/v1/model")

    assert tab.listed()
    tab.page.wait_for_selector("#live:has-text('Live')")


# Accessibility and sources

EXPERIMENTAL = {"rules": {"label-content-name-mismatch": {"enabled": True}}}  # beside all that axe runs by itself


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
def test_axe_reports_no_violation(
    browser: Browser, service: httpx.Client, predictions: list[Any], size: tuple[int, int]
) -> None:
    tab = Tab(browser, str(service.base_url).rstrip("/"), size)
    violations: dict[str, list[str]] = {}

    def check(place: str) -> None:
        results = Axe().run(tab.page, options=EXPERIMENTAL).response["violations"]
        violations[place] = [
            f"{one['id']} ({one['impact']}): {[node['html'][:120] for node in one['nodes']]}" for one in results
        ]

    tab.open().listed()
    check("list")
    tab.key("?")
    check("keys")
    tab.key("Escape")
    tab.view(predictions[0]["id"])
    check("viewer")
    tab.key("s").key("o").settled()
    check("viewer with scores, side by side")
    if size == LANDSCAPE:
        tab.page.set_viewport_size({"width": size[0] // 2, "height": size[1] // 2})  # as at 200 %
        tab.key("Escape").listed()
        check("list, enlarged")
        tab.page.click("#alerts-button")
        check("alerts")
    tab.close()
    assert {place: ids for place, ids in violations.items() if ids} == {}
    assert tab.problems() == []


def test_forced_colours_show_pressed_buttons_and_bars(tab: Tab, predictions: list[Any]) -> None:
    tab.page.emulate_media(forced_colors="active")
    tab.view(predictions[0]["id"])
    tab.key("i").settled()  # some browsers transition colours

    colours = """(selectors) => selectors.map((one) =>
        getComputedStyle(document.querySelector(one)).backgroundColor)"""
    shown = ['[data-key="i"]', '[data-key="f"]', "#bars .fill", "#bars .track"]
    pressed, other, fill, track = tab.page.evaluate(colours, shown)

    assert pressed != other
    assert fill != track


def test_the_focus_is_visible_and_follows_the_reading_order(tab: Tab, predictions: list[Any]) -> None:
    tab.open().listed()
    tab.page.evaluate("() => document.getElementById('reader').focus()")
    places = []
    for _ in range(11):
        places.append(tab.page.evaluate("() => document.activeElement.id || document.activeElement.name"))
        outline = tab.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", places[-1]
        tab.key("Tab")

    assert places == [
        *("reader", "statistics-link", "alerts-button", "help-button"),
        *("q", "priority", "finding", "read", "export", "upload-button", "table"),
    ]


def test_a_screen_reader_gets_the_findings(tab: Tab, predictions: list[Any]) -> None:
    tab.open().listed()
    rows = tab.page.get_by_role("table").get_by_role("row")
    assert rows.count() == 1 + len(tab.listed())
    assert tab.page.get_by_role("table").get_by_role("columnheader").count() == 7
    tab.view(predictions[0]["id"])

    for finding in predictions[0]["findings"]:
        name = tab.page.locator(f'[data-label="{finding["label"]}"]').text_content() or ""
        verdict = {True: "above operating point", False: "below operating point", None: "no operating point"}
        assert f"{verdict[finding['positive']]}, probability {finding['probability']:.2f}" in name


def test_the_content_security_policy_blocks_an_inline_script(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    breaches = "document.addEventListener('securitypolicyviolation', () => (window.breached = true))"
    tab.page.add_init_script(breaches)
    answer = tab.page.goto(f"{tab.address}/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    tab.listed()
    tab.view(predictions[0]["id"])

    assert tab.page.evaluate("() => window.breached") is None
    inline = """() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        return window.ran;
    }"""
    assert tab.page.evaluate(inline) is None, "the policy blocks the inline script"
    tab.expected += ("Content Security Policy",)


@pytest.mark.parametrize(
    "place",
    [
        *("?url=http://127.0.0.1:9/a.json", "?datasources=//127.0.0.1:9", "#//127.0.0.1:9/x", "#/../../x"),
        *("#/?url=http://127.0.0.1:9/a", "statistics?first=//127.0.0.1:9", "statistics?url=http://127.0.0.1:9"),
    ],
)
def test_nothing_is_fetched_that_a_link_to_the_page_names(tab: Tab, predictions: list[Any], place: str) -> None:
    """CVE-2026-12473, a viewer that sent its user's token to the address in a query."""
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))

    tab.expected += ("Failed to load resource",)  # an id or day that is none

    tab.open(place)
    tab.page.wait_for_timeout(1000)  # for requests that must not come

    assert len(asked) > 1
    assert [url for url in asked if not url.startswith((f"{tab.address}/", "blob:", "data:"))] == []


def test_sources_use_no_function_that_parses_markup() -> None:
    """A single such function could turn a value from a file into HTML."""
    for path in WEB.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert sink not in text, f"{path.name}: {sink}"
        # It outlives the tab, on machines that several people use; the choice of alerts names nobody.
        assert "localStorage" not in text or path.name == "alerts.js", path.name
    html = (WEB / "index.html").read_text(encoding="utf-8")
    assert "style=" not in html
    assert not re.search(r"\son[a-z]+=", html)


@pytest.mark.parametrize("path", sorted(filter(Path.is_file, WEB.iterdir())), ids=lambda path: path.name)
def test_a_file_of_the_page_is_short_and_named_for_its_subject(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
    assert path.stem not in {"utils", "util", "common", "base", "core", "helpers", "helper", "types", "misc"}

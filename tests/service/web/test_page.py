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
def sent(service: httpx.Client) -> list[dict[str, Any]]:
    missing = {"ViewPosition": None, "PatientOrientation": ["L", "F"]}
    return [post(service, radiograph(number, **missing)) for number in range(3)]


# Sending files...


def upload(*numbers: int, **elements: Any) -> list[Any]:
    return [
        {"name": f"{number}.dcm", "mimeType": "application/dicom", "buffer": radiograph(number, **elements)}
        for number in numbers
    ]


def test_files_are_sent_each_with_a_bar_and_appear_on_the_list(tab: Tab, service: httpx.Client) -> None:
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


def test_a_refusal_says_its_reasons_in_words_and_spoils_no_other(tab: Tab, sent: list[Any]) -> None:
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
    said = {one.locator(".file").inner_text(): one.inner_text() for one in refused.all()}
    assert "Refused: Not a frontal chest radiograph" in said["lateral<b>.dcm"]
    assert "Modality must be CR or DX" in said["lateral<b>.dcm"]
    assert "ViewPosition must be PA or AP" in said["lateral<b>.dcm"]
    assert "Refused: Not a readable DICOM file" in said["letter.txt"]


def test_files_can_be_dropped(tab: Tab, sent: list[Any]) -> None:
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


def test_u_opens_the_dialog_for_files(tab: Tab) -> None:
    chosen: list[FileChooser] = []
    tab.page.on(
        "filechooser", lambda chooser: chosen.append(chooser)
    )  # before the page is: the browser is told with some delay
    tab.open()
    tab.page.wait_for_selector('#live[data-state="live"]')

    tab.key("u")

    tab.page.wait_for_timeout(500)
    assert [chooser.is_multiple() for chooser in chosen] == [True]


# Who may see it...


@pytest.fixture(scope="module")
def locked(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a service that asks for keys, and its first key."""
    folder = tmp_path_factory.mktemp("locked")
    with running(artefact, folder, TRIAGE_HTTP__KEYS="always") as client:
        key = (folder / "data" / "first_key").read_text().strip()
        client.headers["Authorization"] = f"Bearer {key}"
        post(client, radiograph(1))
        yield str(client.base_url).rstrip("/"), key


def test_where_a_key_is_wanted_the_person_is_asked_and_the_tab_keeps_it(
    browser: Browser, locked: tuple[str, str]
) -> None:
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
    tab.page.wait_for_selector("#key-reason:has-text('of ASCII')")
    tab.page.fill("#key", "wrong")
    tab.key("Enter")
    tab.page.wait_for_selector("#key-reason:has-text('does not know this key')")
    tab.page.fill("#key", key)
    tab.key("Enter")

    (id,) = tab.listed()
    tab.page.wait_for_selector('#live[data-state="live"]')
    tab.view(id)
    with tab.page.expect_download() as started:
        tab.key("Escape")
        tab.page.click("#export")
    assert started.value.path().read_text().splitlines()[1].endswith(id)
    tab.page.set_input_files("#files", upload(2))
    tab.page.wait_for_selector("#upload-list [data-state=accepted]")

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


def test_a_page_opened_before_the_service_answers_comes_to_life(tab: Tab, sent: list[Any]) -> None:
    tab.expected += ("ERR_FAILED",)
    tab.page.route("**/v1/model", lambda route: route.abort(), times=1)
    tab.open()
    tab.page.wait_for_selector("#live:has-text('Not connected')")
    assert "does not answer" in tab.text("#toast")

    assert tab.listed()
    tab.page.wait_for_selector("#live:has-text('Live')")


# What it is made of...


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
def test_axe_finds_nothing(browser: Browser, service: httpx.Client, sent: list[Any], size: tuple[int, int]) -> None:
    tab = Tab(browser, str(service.base_url).rstrip("/"), size)
    found: dict[str, list[str]] = {}

    def look(place: str) -> None:
        results = Axe().run(tab.page).response["violations"]
        found[place] = [
            f"{one['id']} ({one['impact']}): {[node['html'][:120] for node in one['nodes']]}" for one in results
        ]

    tab.open().listed()
    look("list")
    tab.key("?")
    look("keys")
    tab.key("Escape")
    tab.view(sent[0]["id"])
    look("viewer")
    tab.key("s").key("o").settled()
    look("viewer with scores, side by side")
    tab.close()
    assert {place: violations for place, violations in found.items() if violations} == {}
    assert tab.problems() == []


def test_focus_can_be_seen_and_goes_in_the_order_of_reading(tab: Tab, sent: list[Any]) -> None:
    tab.open().listed()
    tab.page.evaluate("() => document.getElementById('reader').focus()")
    places = []
    for _ in range(9):
        places.append(tab.page.evaluate("() => document.activeElement.id || document.activeElement.name"))
        outline = tab.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", places[-1]
        tab.key("Tab")

    assert places == ["reader", "help-button", "q", "priority", "finding", "read", "export", "upload-button", "table"]


def test_a_reader_of_screens_gets_the_findings(tab: Tab, sent: list[Any]) -> None:
    tab.open().listed()
    rows = tab.page.get_by_role("table").get_by_role("row")
    assert rows.count() == 1 + len(tab.listed())
    assert tab.page.get_by_role("table").get_by_role("columnheader").count() == 9
    tab.view(sent[0]["id"])

    for finding in sent[0]["findings"]:
        name = tab.page.locator(f'[data-label="{finding["label"]}"]').text_content() or ""
        verdict = {True: "above operating point", False: "below operating point", None: "no operating point"}
        assert f"{verdict[finding['positive']]}, probability {finding['probability']:.2f}" in name


def test_the_policy_holds_and_nothing_comes_from_elsewhere(tab: Tab, service: httpx.Client, sent: list[Any]) -> None:
    breaches = "document.addEventListener('securitypolicyviolation', () => (window.breached = true))"
    tab.page.add_init_script(breaches)
    answer = tab.page.goto(f"{tab.address}/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    tab.listed()
    tab.view(sent[0]["id"])

    assert tab.page.evaluate("() => window.breached") is None
    plant = """() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        return window.ran;
    }"""
    assert tab.page.evaluate(plant) is None, "the policy stops what is planted"
    tab.expected += ("Content Security Policy",)


def test_sources_hold_no_markup_of_their_own_making() -> None:
    """One sink is enough to undo the rest."""
    for path in WEB.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"):
            assert sink not in text, f"{path.name}: {sink}"
    html = (WEB / "index.html").read_text(encoding="utf-8")
    assert "style=" not in html
    assert not re.search(r"\son[a-z]+=", html)


@pytest.mark.parametrize("path", sorted(WEB.iterdir()), ids=lambda path: path.name)
def test_a_file_of_the_page_is_one_noun(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
    assert path.stem not in {"utils", "util", "common", "base", "core", "helpers", "helper", "types", "misc"}

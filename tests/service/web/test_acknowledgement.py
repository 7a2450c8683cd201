"""An alert that nobody has acknowledged is visible as such in the list and in the viewer, and nowhere else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from model.labels import LABELS
from service.objects.kinds import Kind
from service.storage.database import Database
from service.storage.outbox import Order, Outbox
from tests.service.web.chromium import LANDSCAPE, PORTRAIT, Tab
from tests.service.web.running import post, radiograph, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(artefact: Path, folder: Path) -> Iterator[httpx.Client]:
    """A service that gives every radiograph with a finding the priority STAT."""
    with running(artefact, folder, TRIAGE_TRIAGE__STAT=json.dumps(LABELS)) as client:
        yield client


@pytest.fixture
def quiet(service: httpx.Client, request: pytest.FixtureRequest) -> dict[str, Any]:
    """A new STAT radiograph without an alert."""
    number = 1000 + sum(map(ord, request.node.name))
    prediction = post(service, radiograph(number, PatientName="Alert^Ada"))
    assert prediction["priority"] == "STAT"
    return prediction


@pytest.fixture
def alerted(service: httpx.Client, folder: Path, quiet: dict[str, Any]) -> dict[str, Any]:
    """A new STAT radiograph, the alert of which awaits an acknowledgement."""
    database = Database(f"sqlite:///{folder / 'data' / 'triage.sqlite'}")
    Outbox(database).add(quiet["id"], [Order("pager", Kind.FHIR, alert=True)])
    database.close()
    return quiet


def row(tab: Tab, id: str) -> Any:
    return tab.page.locator(f'tr[data-id="{id}"]')


def test_it_can_be_acknowledged_in_the_list(tab: Tab, service: httpx.Client, alerted: dict[str, Any]) -> None:
    tab.open().listed()
    tab.page.fill("#reader", "AB")
    button = row(tab, alerted["id"]).get_by_role("button", name="Acknowledge the alert of Alert, Ada")

    button.click()

    row(tab, alerted["id"]).get_by_text("Acknowledged", exact=True).wait_for()
    assert button.count() == 0
    assert service.get(alerted["links"]["acknowledgement"]).json()["by"] == "AB"
    entry = service.get(f"/v1/worklist/{alerted['id']}").json()
    assert entry["read"] is None
    title = row(tab, alerted["id"]).locator(".second", has_text="Acknowledged").get_attribute("title") or ""
    assert title.startswith("Acknowledged by AB, 20")


def test_it_can_be_acknowledged_by_a_key_in_the_list(tab: Tab, alerted: dict[str, Any]) -> None:
    tab.open().listed()
    row(tab, alerted["id"]).locator("a.name").focus()

    tab.key("a")

    row(tab, alerted["id"]).get_by_text("Acknowledged", exact=True).wait_for()
    assert tab.page.evaluate("() => document.activeElement.closest('tr').dataset.id") == alerted["id"]


@pytest.mark.parametrize("by", ["key", "click"])
def test_it_can_be_acknowledged_in_the_viewer(
    tab: Tab, service: httpx.Client, alerted: dict[str, Any], by: str
) -> None:
    tab.view(alerted["id"])
    assert tab.text("#acknowledgement") == "Not acknowledged"
    announced = (
        f"{tab.page.text_content('#priority')}: {tab.page.text_content('#sentence')}. Low resolution. Not acknowledged"
    )
    assert tab.page.text_content("#announcement") == announced
    tab.page.fill("#reader", "Dr R")
    tab.page.locator("#acknowledge").focus()

    if by == "key":
        tab.key("a")
    else:
        tab.page.click("#acknowledge")

    tab.page.wait_for_selector("#acknowledgement:has-text('Acknowledged by Dr R, 20')")
    tab.page.wait_for_selector("#toast:has-text('Acknowledged')")
    assert not tab.page.locator("#acknowledge").is_visible()
    assert tab.page.evaluate("() => document.activeElement.id") == "stage"
    assert tab.text("#read") == "Not read"
    assert service.get(alerted["links"]["acknowledgement"]).json()["by"] == "Dr R"


def test_an_acknowledgement_elsewhere_is_shown_at_once(
    browser: Browser, tab: Tab, service: httpx.Client, alerted: dict[str, Any]
) -> None:
    listing = Tab(browser, str(service.base_url).rstrip("/"))
    listing.open().listed()
    tab.view(alerted["id"])
    for page in (listing.page, tab.page):
        page.wait_for_selector('#live[data-state="live"]')

    service.post(alerted["links"]["acknowledgement"], json={"by": "CD"}).raise_for_status()

    tab.page.wait_for_selector("#acknowledgement:has-text('Acknowledged by CD')")
    row(listing, alerted["id"]).get_by_text("Acknowledged", exact=True).wait_for()
    listing.close()


def test_a_read_mark_acknowledges_and_is_not_told_twice(tab: Tab, alerted: dict[str, Any]) -> None:
    tab.view(alerted["id"])
    tab.page.locator("#stage").focus()

    tab.key("m")

    tab.page.wait_for_selector("#toast:has-text('Marked read')")
    tab.view(alerted["id"])  # it may have gone on to the next one
    assert tab.text("#read").startswith("Read, 20")
    assert tab.text("#acknowledgement") == ""
    assert not tab.page.locator("#acknowledge").is_visible()
    tab.key("Escape")
    tab.page.wait_for_selector(f'tr.read[data-id="{alerted["id"]}"]')
    assert "cknowledge" not in row(tab, alerted["id"]).inner_text()


def test_without_an_alert_nothing_of_it_is_shown(tab: Tab, quiet: dict[str, Any]) -> None:
    tab.open().listed()
    assert "cknowledge" not in row(tab, quiet["id"]).inner_text()
    row(tab, quiet["id"]).locator("a.name").focus()
    tab.key("a")

    tab.view(quiet["id"])
    tab.key("a")

    assert tab.text("#acknowledgement") == ""
    assert not tab.page.locator("#acknowledge").is_visible()
    assert tab.text("#toast") == ""


def test_sound_and_notification_for_stat_are_off_until_chosen_and_then_remembered(
    tab: Tab, service: httpx.Client, quiet: dict[str, Any]
) -> None:
    tab.page.add_init_script("""
        window.alerts = [];
        window.Notification = class extends EventTarget {
            static permission = "granted";
            static requestPermission = async () => "granted";
            constructor(title, { body }) { super(); window.alerts.push(`${title}, ${body}`); }
        };
        const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (...when) { window.alerts.push("beep"); start.apply(this, when); };
    """)
    tab.open().listed()
    tab.page.wait_for_selector('#live[data-state="live"]')
    new = post(service, radiograph(1, PatientName="Alert^Two"))
    tab.page.wait_for_selector(f'tr[data-id="{new["id"]}"]')
    assert tab.page.evaluate("() => window.alerts") == []

    tab.page.click("#alerts-button")
    for box in ("#alert-sound", "#alert-notification"):
        tab.page.check(box)
    tab.key("Escape")
    tab.page.wait_for_selector("#alerts-button:has-text('Alerts on')")
    tab.page.reload()
    tab.page.wait_for_selector('#live[data-state="live"]')
    tab.page.wait_for_selector("#alerts-button:has-text('click to allow sound')")
    tab.page.click("h1")
    tab.page.wait_for_selector("#alerts-button:has-text('Alerts on')")
    new = post(service, radiograph(2, PatientName="Alert^Three"))

    tab.page.wait_for_selector(f'tr[data-id="{new["id"]}"]')
    alerts = tab.page.evaluate("() => window.alerts")
    assert set(alerts) == {"beep", "New STAT radiograph, AG-CNN triage"}
    assert "Three" not in "".join(alerts)


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
def test_axe_reports_no_violation(
    browser: Browser, service: httpx.Client, alerted: dict[str, Any], size: tuple[int, int]
) -> None:
    tab = Tab(browser, str(service.base_url).rstrip("/"), size)
    tab.open().listed()
    violations = Axe().run(tab.page).response["violations"]
    tab.view(alerted["id"])
    violations += Axe().run(tab.page).response["violations"]
    tab.close()

    assert [one["id"] for one in violations] == []
    assert tab.problems() == []

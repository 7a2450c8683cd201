from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Route

from tests.service.web.chromium import SIZES, Modules, Tab
from tests.service.web.running import post, radiograph

MARKUP, NAME = "<img src=x onerror=alert(1)>", "<script>alert(1)</script>"
TAKEN = {"StudyDate": "20260504", "StudyTime": "101500"}
PRIORITIES = {"STAT": 0, "HIGH": 1, "ROUTINE": 2}


@pytest.fixture(scope="module")
def predictions(service: httpx.Client) -> list[dict[str, Any]]:
    """Predictions of a few radiographs on the list."""
    tags: list[dict[str, Any]] = [
        {"PatientName": "Nought^Nora", "PatientID": "P-0", "PatientSex": "F", "PatientAge": "045Y"} | TAKEN,
        {"PatientName": NAME, "StudyDescription": MARKUP, "SeriesDescription": MARKUP, "AccessionNumber": "B-1"},
        {"PatientName": "Two^Tom", "PatientID": "P-2", "ViewPosition": None},
        {"PatientName": "Three^Theo", "StudyDescription": "", "SeriesDescription": MARKUP},
        {},
    ]
    return [post(service, radiograph(number, **more)) for number, more in enumerate(tags)]


def served(service: httpx.Client, **order: Any) -> list[dict[str, Any]]:
    """Return the entries in the order of the page unless another is given."""
    return list(service.post("/v1/worklist/search", json={"unread_first": True} | order).json()["items"])


def cells(tab: Tab, id: str) -> Sequence[str]:
    return tab.page.locator(f'tr[data-id="{id}"] > *').all_inner_texts()


def test_rows_are_in_the_order_of_the_service_most_urgent_first(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    entries = served(service)

    assert tab.open().listed() == [entry["id"] for entry in entries]
    by_urgency = sorted(
        entries, key=lambda one: (one["read"] is not None, PRIORITIES[one["priority"]], -one["margin"], one["created"])
    )
    assert [entry["id"] for entry in by_urgency] == [entry["id"] for entry in entries]
    unread = [sum(one["priority"] == name for one in entries) for name in PRIORITIES]
    shown = tab.page.locator("#unread b").all_inner_texts()
    assert shown == [str(count) for count in unread]


def test_a_row_shows_the_patient_and_the_findings(tab: Tab, service: httpx.Client, predictions: list[Any]) -> None:
    tab.page.clock.install(time=predictions[0]["created"])  # however long ago that is on a busy machine
    tab.open().listed()
    entry = next(one for one in served(service) if one["id"] == predictions[0]["id"])

    priority, _, patient, study, findings, waiting, read = cells(tab, entry["id"])

    assert priority.upper() == entry["priority"]
    assert patient.split("\n") == ["Nought, Nora", "P-0 · F, 45 y"]
    assert study.split("\n") == ["2026-05-04 10:15 · PA", "A1"]
    assert all(label.replace("_", " ").capitalize() in findings for label in entry["positive"])
    assert waiting == "< 1 min"
    assert read == "Mark read"
    assert cells(tab, predictions[2]["id"])[4].split("\n")[-1].startswith("View position not stated")
    picture = tab.page.locator(f'tr[data-id="{entry["id"]}"] img')
    tab.page.wait_for_function("(image) => image.naturalWidth === 80", arg=picture.element_handle())


def test_a_radiograph_opened_at_once_waits_for_no_small_picture(tab: Tab, predictions: list[dict[str, Any]]) -> None:
    requested: list[str] = []
    tab.page.on("request", lambda request: requested.append(request.url))
    held = """window.held = [];
        const set = window.setTimeout;
        window.setTimeout = (run, ...rest) => run.name === "fetchWaiting" ? held.push(run) : set(run, ...rest);"""
    tab.page.add_init_script(held)
    first, *_ = tab.open().listed()
    tab.page.wait_for_function("() => held.length")

    tab.page.locator(f'tr[data-id="{first}"] a.name').click()
    tab.drawn(first).page.evaluate("() => held.forEach((run) => run())")
    assert not any("width=" in url for url in requested)
    tab.key("Escape").page.wait_for_function(  # which runs them at each look, as the rows may come into sight late
        "() => (held.forEach((run) => run()), document.querySelector('#rows img')?.naturalWidth === 80)"
    )


def test_markup_in_a_file_is_shown_as_text(tab: Tab, predictions: list[dict[str, Any]]) -> None:
    tab.open().listed()

    row = cells(tab, predictions[1]["id"])
    assert row[2].startswith(NAME)
    assert MARKUP in row[3]
    assert MARKUP in cells(tab, predictions[3]["id"])[3]
    tab.view(predictions[1]["id"])
    assert tab.text("#patient") == NAME
    assert MARKUP in tab.text("#study")
    assert tab.page.locator("img:not(.thumbnail), #main script").count() == 0


def test_a_new_radiograph_is_shown_and_announced(tab: Tab, service: httpx.Client, predictions: list[Any]) -> None:
    tab.open().listed()
    tab.page.wait_for_selector('#live[data-state="live"]')

    new = post(service, radiograph(50, PatientName="Late^Lara"))

    tab.page.wait_for_selector(f'tr[data-id="{new["id"]}"]')
    assert tab.listed() == [entry["id"] for entry in served(service)]
    tab.page.wait_for_selector("#toast:has-text('1 new radiograph')")
    assert tab.page.get_attribute("#toast", "aria-live") == "polite"


def test_a_new_radiograph_changes_neither_the_other_rows_nor_the_focus(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    tab.open().listed()
    tab.page.wait_for_selector('#live[data-state="live"]')
    tab.key("j")
    tab.page.evaluate("() => { window.kept = document.activeElement.closest('tr'); }")

    new = post(service, radiograph(51, PatientID="OTHER-51"))

    tab.page.wait_for_selector(f'tr[data-id="{new["id"]}"]')
    assert tab.page.evaluate("() => window.kept.isConnected && window.kept.contains(document.activeElement)")
    assert tab.listed() == [entry["id"] for entry in served(service)]


def test_when_a_row_disappears_the_row_in_its_place_gets_the_focus(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    tab.open().listed()
    tab.page.select_option("[name=read]", "0")
    tab.page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 2")
    tab.page.locator("#rows a.name").nth(1).focus()
    first, going, following, *_ = tab.listed()

    tab.key("m")

    tab.page.wait_for_selector(f'tr[data-id="{going}"]', state="detached")
    focused = tab.page.evaluate("() => document.activeElement.closest('tr')?.dataset.id")
    assert focused == following
    service.patch(f"/v1/predictions/{going}", json={"read": False}).raise_for_status()
    assert tab.listed()[0] == first


def test_the_waiting_time_is_updated(tab: Tab, predictions: list[Any]) -> None:
    tab.page.clock.install(time=predictions[4]["created"])  # however long ago that is on a busy machine
    tab.open().listed()
    assert cells(tab, predictions[4]["id"])[5] == "< 1 min"

    tab.page.clock.fast_forward("02:00:00")

    tab.page.wait_for_function(
        "(id) => document.querySelector(`tr[data-id='${id}'] .waiting`).textContent === '2 h 00 min'",
        arg=predictions[4]["id"],
    )


def test_after_a_broken_connection_the_list_is_up_to_date(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    tab.expected += ("ERR_FAILED",)
    tab.page.route("**/v1/events", lambda route: route.abort())
    tab.open().listed()
    tab.page.wait_for_selector("#live:has-text('Not connected')")
    missed = post(service, radiograph(60))

    tab.page.unroute("**/v1/events")

    tab.page.wait_for_selector("#live:has-text('Live')")
    tab.page.wait_for_selector(f'tr[data-id="{missed["id"]}"]')


def test_a_search_finds_a_name_without_putting_it_in_a_url(tab: Tab, predictions: list[dict[str, Any]]) -> None:
    tab.open().listed()
    addresses: list[str] = []
    tab.page.on("request", lambda request: addresses.append(request.url))

    tab.key("/")
    tab.page.keyboard.type("two tom")

    tab.page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 1")
    assert tab.listed() == [predictions[2]["id"]]
    assert addresses
    assert not any("two" in address for address in [*addresses, tab.page.url])
    tab.page.fill("[name=q]", "nobody at all")
    tab.page.wait_for_selector("#empty:has-text('No radiographs match')")


def test_an_update_while_typing_does_not_cancel_the_search(modules: Modules) -> None:
    script = """async ({ Worklist }) => {
        document.body.innerHTML = `<form id="filters"><input name="q"><select name="priority"></select>
            <select name="finding"></select><select name="read"></select></form><b id="export"></b><b id="columns"></b>
            <b id="page-after"></b><b id="page-before"></b><table><tbody id="rows"></tbody></table><b id="toast"></b>`;
        const called = [];
        const never = new Promise(() => {});
        const listing = { load: () => (called.push("load"), never),
                          select: ({ filters }) => (called.push(filters.q), never), order: {} };
        const list = new Worklist(listing, () => {}, []);
        document.querySelector("input").value = "two";
        document.querySelector("input").dispatchEvent(new Event("input", { bubbles: true }));
        list.changed({ kind: "read" });
        await new Promise((resolve) => setTimeout(resolve, 800));
        return called;
    }"""
    assert modules.call("worklist.js", script) == ["two", "load"]


def test_a_page_that_could_not_be_fetched_is_requested_again(modules: Modules) -> None:
    script = """async ({ Listing }) => {
        const answers = [{ items: [{ id: "a" }], total: 2, unread: {}, next: "c" }, null,
                         { items: [{ id: "b" }], total: 2, unread: {}, next: null }];
        const cursors = [];
        window.fetch = async (address, { body }) => {
            cursors.push(JSON.parse(body).cursor ?? "");
            const answer = answers.shift();
            return answer ? Response.json(answer) : new Response("", { status: 503 });
        };
        const listing = new Listing();
        await listing.load();
        const failed = await listing.neighbour("a", 1).catch((error) => error.status);
        const first = listing.first;
        return [failed, first, (await listing.neighbour("a", 1)).id, cursors, listing.first];
    }"""
    assert modules.call("listing.js", script) == [503, 0, "b", ["", "c", "c"], 50]


def test_a_page_that_is_turned_while_the_list_is_fetched_again_leads_to_its_first_entry(modules: Modules) -> None:
    script = """async ({ Listing }) => {
        const pages = { "": { items: [{ id: "a", read: null }], total: 2, unread: {}, next: "c" },
                        c: { items: [{ id: "b", read: null }], total: 2, unread: {}, next: null } };
        window.fetch = async (address, { body }) => Response.json(pages[JSON.parse(body).cursor ?? ""]);
        const listing = new Listing();
        await listing.load();
        const [next] = await Promise.all([listing.neighbour("a", 1), listing.load()]);
        return next?.id;
    }"""
    assert modules.call("listing.js", script) == "b"


def test_after_a_mark_the_next_unread_entry_follows_also_where_the_list_has_it_already(modules: Modules) -> None:
    script = """async ({ Listing }) => {
        const entries = (ids, read) => ids.map((id) => ({ id, read: id === read ? {} : null }));
        const answers = [entries(["a", "b", "c"]), entries(["a", "c", "b"], "b")];
        window.fetch = async () => Response.json({ items: answers.shift(), total: 3, unread: {}, next: null });
        const listing = new Listing();
        await listing.load();
        const before = (await listing.nextUnread("b")).id;
        await listing.load();
        return [before, (await listing.nextUnread("b")).id];
    }"""
    assert modules.call("listing.js", script) == ["c", "c"]


def test_escape_keeps_a_search_and_enter_moves_to_its_first_result(tab: Tab, predictions: list[dict[str, Any]]) -> None:
    tab.open().listed()
    tab.key("/")
    tab.page.keyboard.type("two tom")

    tab.key("Escape")
    assert tab.page.input_value("[name=q]") == "two tom"
    tab.key("/").key("Enter")

    tab.page.wait_for_function("() => document.activeElement.matches('a.name')")
    assert tab.page.evaluate("() => document.activeElement.closest('tr').dataset.id") == predictions[2]["id"]


def test_the_list_can_be_filtered_by_finding_and_by_read_mark(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    entries = served(service)
    tab.open().listed()
    label = next(name for entry in entries for name in entry["positive"])
    expected = [entry["id"] for entry in entries if label in entry["positive"]]

    tab.page.select_option("[name=finding]", label)
    tab.page.wait_for_selector(f"#position:has-text('1–{len(expected)} of {len(expected)}')")
    assert tab.listed() == expected

    tab.page.select_option("[name=finding]", "")
    tab.page.select_option("[name=read]", "1")
    tab.page.wait_for_selector("#empty:has-text('No radiographs match')")


def test_a_read_mark_shows_the_reader_and_can_be_removed(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    id = predictions[0]["id"]
    place = tab.open().listed().index(id)
    tab.page.fill("#reader", "AB")
    tab.page.locator(f'tr[data-id="{id}"] a.name').focus()

    tab.key("m")

    tab.page.wait_for_selector(f'tr.read[data-id="{id}"]')
    assert service.get(f"/v1/worklist/{id}").json()["read"]["by"] == "AB"
    assert "Read by AB" in (tab.page.get_attribute(f'tr[data-id="{id}"] .mark', "title") or "")
    assert tab.listed().index(id) >= len([one for one in served(service) if not one["read"]])
    focused = tab.page.evaluate("() => document.activeElement.closest('tr').dataset.id")
    assert tab.listed().index(focused) == place, "who marks one after the other stays in their place"
    tab.page.reload()
    assert tab.page.input_value("#reader") == "AB"
    tab.page.locator(f'tr[data-id="{id}"] .mark').click()
    tab.page.wait_for_selector(f'tr:not(.read)[data-id="{id}"]')
    assert service.get(f"/v1/worklist/{id}").json()["read"] is None


def test_keys_move_between_rows_open_one_and_return(tab: Tab, predictions: list[Any]) -> None:
    first, second, *_ = tab.open().listed()
    at = "() => document.activeElement.closest('tr').dataset.id"

    tab.key("j")
    assert tab.page.evaluate(at) == first
    tab.key("j")
    tab.key("j")
    tab.key("k")
    assert tab.page.evaluate(at) == second
    tab.key("Enter")
    tab.drawn(second)
    tab.key("Escape")
    tab.page.wait_for_selector("#worklist:not([hidden])")
    tab.page.wait_for_function("() => document.activeElement.matches('a.name')")
    assert tab.page.evaluate(at) == second


def test_the_list_can_be_exported_as_csv(tab: Tab, service: httpx.Client, predictions: list[Any]) -> None:
    tab.open().listed()
    with tab.page.expect_download() as started:
        tab.page.click("#export")

    assert started.value.suggested_filename == "worklist.csv"
    assert started.value.path().read_bytes() == service.post("/v1/worklist.csv", json={"unread_first": True}).content


def test_a_long_list_is_shown_page_by_page(tab: Tab, service: httpx.Client, predictions: list[Any]) -> None:
    for number in range(100, 150):
        post(service, radiograph(number, (256, 256)))
    entries = served(service, limit=500)
    ids = [entry["id"] for entry in entries]

    assert tab.open().listed() == ids[:50]
    assert tab.text("#position") == f"1–50 of {len(ids)}"
    tab.key("n")
    tab.page.wait_for_selector(f"#position:has-text('51–{len(ids)} of {len(ids)}')")
    assert tab.listed() == ids[50:]
    assert tab.page.is_disabled("#page-after")
    tab.view(ids[50])
    tab.key("k")  # turns the page
    tab.drawn(ids[49])
    tab.key("j")
    tab.drawn(ids[50])

    def much_longer(route: Route) -> None:
        longer = {"total": 10_000, "counted_to": 10_000, "unread": {"STAT": 2, "HIGH": 10_000, "ROUTINE": 9_999}}
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | longer)

    tab.page.route("**/v1/worklist/search", much_longer)
    tab.open().listed()
    assert tab.text("#position") == "1–50 of 10,000+"
    assert tab.page.locator("#unread li b").all_inner_texts() == ["2", "10,000+", "9,999"]


def test_a_reload_keeps_filters_order_and_search_but_the_address_names_nobody(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    tab.open().listed()
    tab.page.select_option("[name=read]", "0")
    tab.page.fill("[name=q]", "Nought, Nora")  # as the list shows the name
    tab.page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 1")

    tab.page.reload()

    assert tab.listed() == [predictions[0]["id"]]
    assert (tab.page.input_value("[name=q]"), tab.page.input_value("[name=read]")) == ("Nought, Nora", "0")
    assert tab.page.url.endswith("/#/?read=0")
    tab.page.fill("[name=q]", "")
    tab.page.click("#columns [data-sort=patient]")
    tab.page.click("#columns [data-sort=patient]")
    tab.page.wait_for_selector(".person[aria-sort=descending]")
    tab.page.reload()
    expected = served(service, read=False, sort="patient", descending=True, unread_first=False)
    assert tab.listed() == [entry["id"] for entry in expected]
    assert tab.page.url.endswith("/#/?read=0&sort=-patient")
    tab.page.locator("#rows a.name").first.click()
    tab.drawn(expected[0]["id"]).key("Escape")
    tab.page.wait_for_selector("#worklist:not([hidden])")
    assert tab.page.url.endswith("/#/?read=0&sort=-patient")


def test_back_leads_to_the_list_and_a_read_mark_not_out_of_the_order(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    first, second, third, *_ = tab.open().listed()
    tab.page.locator("#rows a.name").first.click()
    tab.drawn(first).key("j")
    tab.drawn(second).key("m")
    tab.page.wait_for_function("(id) => document.querySelectorAll('#rows tr')[1].dataset.id !== id", arg=second)
    tab.drawn(third)
    tab.key("k").drawn(second)

    tab.page.go_back()

    tab.page.wait_for_selector("#worklist:not([hidden])")
    service.patch(f"/v1/predictions/{second}", json={"read": False}).raise_for_status()


def test_the_viewer_comes_back_with_the_service_and_says_what_to_do_where_nothing_is(
    tab: Tab, predictions: list[dict[str, Any]]
) -> None:
    tab.expected += ("ERR_FAILED", "404")
    id = predictions[0]["id"]
    tab.page.route(f"**/v1/predictions/{id}*", lambda route: route.abort())
    tab.open(f"#/{id}")
    tab.page.wait_for_selector("#stage-message:has-text('The page tries again')")

    tab.page.unroute(f"**/v1/predictions/{id}*")

    tab.drawn(id)
    tab.open("#/0123")
    tab.page.wait_for_selector("#stage-message:has-text('Press Esc to go to the worklist')")
    tab.key("Escape").listed()


def typical(route: Route) -> None:
    """Answer with rows that have as much text as those of real radiographs; random images have a dozen findings."""
    answer = route.fetch()
    page = answer.json()
    for entry in page["items"]:
        text = {"name": "Papadopoulos^Anna", "id": "NIH-13231", "sex": "F", "age": "047Y"}
        findings = {"reason": ["Pneumothorax"], "positive": ["Pneumothorax", "Effusion", "Pleural_Thickening"]}
        study = {"date": "20260504", "time": "1015", "description": "XR CHEST 2 VIEWS"}
        entry |= findings | {"priority": "ROUTINE", "flags": [], "patient": entry["patient"] | text}
        entry |= {"study": entry["study"] | study}
    route.fulfill(response=answer, json=page)


def test_a_screen_holds_many_rows_and_no_badge_breaks(tab: Tab, predictions: list[Any]) -> None:
    """The last size is that of a laptop at 200 %: there the page scrolls, and its header leaves the screen."""
    tab.page.route("**/v1/worklist/search", typical)
    tab.open().listed()
    measure = """() => {
        const height = (selector) => document.querySelector(selector).getBoundingClientRect().height;
        const highest = Math.max(...[...document.querySelectorAll("#rows tr")].map((row) => row.clientHeight));
        const screen = Math.min(document.getElementById("table").clientHeight, innerHeight - height(".notice"));
        const badges = [...document.querySelectorAll("#rows .priority")].map((one) => one.clientHeight);
        const isWithin = document.body.scrollWidth <= innerWidth;
        return [(screen - height("thead")) / highest, Math.max(...badges) < 24, isWithin];
    }"""

    for (width, height), rows in {(1366, 768): 12, (1024, 768): 7, (1680, 1050): 18, (683, 384): 3}.items():
        tab.page.set_viewport_size({"width": width, "height": height})
        fitting, has_whole_badges, is_within = tab.page.evaluate(measure)
        assert fitting >= rows, width
        assert (has_whole_badges, is_within) == (True, True), width


@pytest.mark.parametrize("size", SIZES)
def test_nothing_scrolls_sideways(
    browser: Browser, service: httpx.Client, predictions: list[Any], size: tuple[int, int]
) -> None:
    tab = Tab(browser, str(service.base_url).rstrip("/"), size)
    tab.open().listed()
    wide = """() => ["html", "#table", "#panel", "#worklist", "#viewer"].every((selector) => {
        const element = document.querySelector(selector);
        return element.scrollWidth <= element.clientWidth;
    })"""

    assert tab.page.evaluate(wide)
    tab.view(predictions[1]["id"])
    assert tab.page.evaluate(wide)
    assert tab.page.locator(".notice").inner_text() == "Research use only. Not a medical device."
    assert tab.page.locator(".notice").is_visible()
    tab.close()
    assert tab.problems() == []

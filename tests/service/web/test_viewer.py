"""The viewer: from one radiograph to the next, read marks, and what other users change."""

from typing import Any

import httpx
from playwright.sync_api import Route

from tests.service.web.chromium import Modules, Tab
from tests.service.web.running import post, radiograph
from tests.service.web.viewing import at


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
    viewer.page.evaluate("() => sessionStorage.removeItem('triage-reader-asked')")
    viewer.key("m").key("Escape")
    assert service.get(f"/v1/worklist/{order[-1]}").json()["read"] is None, "cancelled"
    viewer.key("m")
    viewer.page.fill("#reader-answer", "Dr R")
    viewer.key("Enter")

    viewer.page.wait_for_selector("#toast:has-text('This is the next unread radiograph')")
    viewer.drawn(order[0])
    assert viewer.page.input_value("#reader") == "Dr R"
    assert service.get(f"/v1/worklist/{order[-1]}").json()["read"]["by"] == "Dr R"
    viewer.key("m").drawn(order[1])
    viewer.key("k").drawn(order[0])
    assert viewer.text("#read").startswith("Read by Dr R, ")
    assert viewer.pressed("m")
    viewer.key("m")
    viewer.page.wait_for_selector("#toast:has-text('Marked unread')")
    for id in order[1:-1]:
        service.patch(f"/v1/predictions/{id}", json={"read": True}).raise_for_status()
    for id in order[1:-1]:  # the page has heard of it
        viewer.page.wait_for_selector(f'tr.read[data-id="{id}"]', state="attached")
    viewer.key("m")
    viewer.page.wait_for_selector("#toast:has-text('No other radiograph of the list is unread')")
    viewer.page.wait_for_selector("#read:has-text('Read by Dr R')")
    for id in order:
        service.patch(f"/v1/predictions/{id}", json={"read": False}).raise_for_status()
    viewer.key("Escape")
    viewer.page.wait_for_selector("#worklist:not([hidden])")


def test_every_key_is_listed_and_single_keys_can_be_switched_off(viewer: Tab) -> None:
    viewer.key("?")
    listed = viewer.page.locator("#help kbd").all_inner_texts()
    assert set("AHGBSOWJKMIRF1LDPVTX?UN/") <= set(listed)
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


def test_a_radiograph_deleted_elsewhere_disappears_from_the_screen(
    tab: Tab, service: httpx.Client, predictions: list[Any]
) -> None:
    tab.expected += ("404",)  # the viewer may still be fetching its parts
    gone = post(service, radiograph(9))["id"]
    tab.view(gone)
    tab.page.wait_for_selector('#live[data-state="live"]')

    service.delete(f"/v1/predictions/{gone}").raise_for_status()

    tab.page.wait_for_selector("#stage-message:has-text('This radiograph was deleted')")
    assert not tab.page.locator("#patient").is_visible()
    assert not tab.page.locator("canvas.radiograph").is_visible()


def test_what_others_changed_while_it_was_not_connected_is_shown_afterwards(tab: Tab, service: httpx.Client) -> None:
    dates = ((81, "20261105"), (82, "20260801"))
    current, prior = (post(service, radiograph(seed, PatientID="P-81", StudyDate=date))["id"] for seed, date in dates)
    tab.expected += ("ERR_FAILED", "404")  # a small picture of the prior may still be on its way
    tab.page.route("**/v1/events", lambda route: route.abort())
    tab.view(current).key("p")
    tab.page.wait_for_selector(".prior-word")
    tab.page.wait_for_selector("#live:has-text('Not connected')")
    assert tab.text("#read") == "Not read"

    service.patch(f"/v1/predictions/{current}", json={"read": True, "by": "CD"}).raise_for_status()
    length = {"kind": "length", "points": [[1, 1], [30, 30]], "by": "CD"}
    service.post(f"/v1/predictions/{current}/measurements", json=length).raise_for_status()
    service.delete(f"/v1/predictions/{prior}").raise_for_status()
    tab.page.unroute("**/v1/events")

    tab.page.wait_for_selector("#read:has-text('Read by CD')")
    tab.page.wait_for_selector("#measurement-list li")
    tab.page.wait_for_selector(".prior-word", state="detached")
    assert tab.page.locator("#prior-list li").count() == 0


def test_a_radiograph_deleted_while_it_was_not_connected_disappears_afterwards(tab: Tab, service: httpx.Client) -> None:
    gone = post(service, radiograph(83))["id"]
    tab.expected += ("ERR_FAILED", "404")
    tab.page.route("**/v1/events", lambda route: route.abort())
    tab.view(gone)
    tab.page.wait_for_selector("#live:has-text('Not connected')")

    service.delete(f"/v1/predictions/{gone}").raise_for_status()
    tab.page.unroute("**/v1/events")

    tab.page.wait_for_selector("#stage-message:has-text('This radiograph was deleted')")
    assert not tab.page.locator("#patient").is_visible()


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


def test_an_answer_from_before_a_mark_does_not_replace_it(tab: Tab, service: httpx.Client) -> None:
    id = post(service, radiograph(84))["id"]
    service.patch(f"/v1/predictions/{id}", json={"read": True, "by": "CD"}).raise_for_status()
    before, held = service.get(f"/v1/worklist/{id}").json(), list[Route]()
    tab.expected += ("ERR_FAILED",)
    tab.page.route("**/v1/events", lambda route: route.abort())
    tab.view(id)
    tab.page.wait_for_selector("#live:has-text('Not connected')")
    tab.page.route(f"**/v1/worklist/{id}", lambda route: held.append(route), times=1)
    tab.page.unroute("**/v1/events")
    tab.page.wait_for_selector('#live[data-state="live"]')
    while not held:
        tab.page.wait_for_timeout(20)

    tab.key("m")
    tab.page.wait_for_selector("#read:has-text('Not read')")
    with tab.page.expect_request_finished(lambda request: request == held[0].request):
        held[0].fulfill(json=before)
    tab.page.wait_for_timeout(200)  # in which the page would show it

    assert tab.text("#read") == "Not read"


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

"""The viewer on a touch screen."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import CDPSession

from tests.service.web.chromium import Tab
from tests.service.web.running import post, radiograph

ZOOM = "() => Number(/(\\d+) %/.exec(document.getElementById('state').textContent)[1])"


@pytest.fixture
def touched(tab: Tab, service: httpx.Client) -> tuple[Tab, CDPSession]:
    """A radiograph on a tablet, and the session that moves the fingers."""
    tab.page.set_viewport_size({"width": 1024, "height": 768})
    emulation = tab.page.context.new_cdp_session(tab.page)
    emulation.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    emulation.send("Emulation.setEmulatedMedia", {"features": [{"name": "pointer", "value": "coarse"}]})
    return tab.view(post(service, radiograph(21, (500, 400)))["id"]), emulation


def touch(session: CDPSession, kind: str, *points: tuple[float, float]) -> None:
    fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})


def window(tab: Tab) -> list[str]:
    return [tab.page.input_value(field) for field in ("#level", "#width")]


def place(tab: Tab) -> dict[str, Any]:
    box = tab.page.locator("canvas.radiograph").bounding_box()
    assert box is not None
    return dict(box)


def test_two_fingers_zoom_and_pan_one_drags_and_buttons_are_large(touched: tuple[Tab, CDPSession]) -> None:
    tab, session = touched
    tab.key("1").settled()
    before, left = window(tab), place(tab)["x"]
    touch(session, "Start", (300, 400))
    touch(session, "Start", (300, 400), (400, 400))
    touch(session, "Move", (320, 420), (420, 420))
    tab.settled()
    assert place(tab)["x"] == pytest.approx(left + 20, abs=1), "two fingers pan"
    touch(session, "Move", (270, 420), (470, 420))
    touch(session, "End")
    tab.settled()
    assert tab.page.evaluate(ZOOM) == pytest.approx(200, abs=2), "two fingers zoom"
    assert window(tab) == before, "and change no window"

    touch(session, "Start", (300, 400))
    touch(session, "Move", (304, 402))
    assert window(tab) == before, "a finger is never still"
    touch(session, "Move", (340, 430))
    touch(session, "End")
    assert window(tab) != before, "one finger drags"

    for key, expected in (("-", 160), ("+", 200)):
        tab.page.click(f'.tools [data-key="{key}"]')
        tab.settled()
        assert tab.page.evaluate(ZOOM) == pytest.approx(expected, abs=2)
    sizes = "all => all.filter((one) => one.offsetParent).map((one) => [one.offsetWidth, one.offsetHeight])"
    targets = tab.page.locator("#viewer :is(button, select)").evaluate_all(sizes)
    assert len(targets) > 25
    assert [size for size in targets if min(size) < 44] == []

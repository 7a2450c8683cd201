"""The main paths of the page in Firefox; everything else is tested in Chromium."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.web.firefox import Firefox, firefox
from tests.service.web.running import post, radiograph

ROWS = "document.querySelectorAll('#rows tr').length"
SETTLED = "document.querySelector('#stage[data-drawn=settled]')"
SHOWN = "document.getElementById('viewer').dataset.shown"
MEAN = """(() => {
    const canvas = document.querySelector('#panes canvas');
    const values = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return values.reduce((sum, value) => sum + value, 0) / values.length;
})()"""


def pressed(key: str) -> str:
    return f"document.querySelector('#viewer [data-key=\"{key}\"][aria-pressed=true]')"


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Firefox]:
    with firefox(tmp_path / "profile") as tab:
        yield tab


def test_the_main_paths(tab: Firefox, service: httpx.Client, tmp_path: Path) -> None:
    address = str(service.base_url).rstrip("/")
    tab.open(address)
    tab.wait("document.getElementById('live').dataset.state === 'live'")
    files = [tmp_path / f"{number}.dcm" for number in range(2)]
    for number, file in enumerate(files):
        file.write_bytes(radiograph(number))

    tab.choose("#files", files)
    tab.wait("document.querySelectorAll('#upload-list [data-state=accepted]').length === 2")
    post(service, radiograph(2))  # the event stream brings it
    tab.wait(f"{ROWS} === 3")

    tab.key("j")
    tab.key("Enter")
    tab.wait(SETTLED)
    first, plain = tab.value(SHOWN), tab.value(MEAN)
    tab.key("i")
    tab.wait(f"{pressed('i')} && Math.abs({MEAN} - {plain}) > 1")
    tab.key("r")
    tab.wait(f"!{pressed('i')} && Math.abs({MEAN} - {plain}) < 0.01")
    tab.drag("#panes canvas", (60, 30))
    tab.wait(f"Math.abs({MEAN} - {plain}) > 1")
    tab.click("#viewer [data-key=h]")  # a key that a busy browser seems to hold hides the map again
    tab.wait(pressed("h"))
    for key in ("g", "b", "l"):
        tab.key(key)
        tab.wait(pressed(key))
    tab.drag("#panes canvas", (80, 60))
    tab.wait("document.querySelectorAll('#measurement-list li').length === 1")

    tab.key("j")
    tab.wait(f"{SHOWN} !== '{first}'")
    tab.wait(SETTLED)
    tab.key("Escape")
    tab.wait("!document.getElementById('worklist').hidden")

    for page in ("statistics", "docs"):
        tab.open(f"{address}/{page}")
        tab.wait("document.querySelector('table, .opblock')")

    assert tab.complaints == []
    assert tab.strangers(address) == []

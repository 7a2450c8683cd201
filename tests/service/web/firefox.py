"""The page in Debian's Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/).

Playwright drives only a Firefox of its own, which nobody uses.
"""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

SIZE = (1366, 768)
SECONDS = 60  # for one answer and for one condition, on a busy machine
# Nothing is fetched from Mozilla's servers, for which the browser would wait at its start.
PREFERENCES = """\
user_pref("services.settings.server", "data:,");
user_pref("app.normandy.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("browser.newtabpage.enabled", false);
"""
KEYS = {"Enter": "\ue007", "Escape": "\ue00c"}  # https://www.w3.org/TR/webdriver2/#keyboard-actions


@contextmanager
def firefox(profile: Path) -> Iterator["Firefox"]:
    """Start the browser of the distribution without a window, with a new profile."""
    path = shutil.which("firefox-esr")
    if path is None:
        pytest.skip("Firefox is not installed; install Debian's package firefox-esr")
    command = [path, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", str(profile)]
    profile.mkdir()
    (profile / "user.js").write_text(PREFERENCES)
    log = profile / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        address = announced_address(log) + "/session"
        with connect(address, max_size=None, open_timeout=SECONDS, ping_timeout=SECONDS) as connection:
            yield Firefox(connection)
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def announced_address(log: Path) -> str:
    """Wait until Firefox says in its log where it listens, and return the address."""
    deadline = time.monotonic() + SECONDS
    while not (found := re.search(r"WebDriver BiDi listening on (\S+)\n", log.read_text())):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return found[1]


class Firefox:
    """A tab. It records errors, warnings and the addresses of requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._count = 0
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.context = self.send("browsingContext.getTree")["contexts"][0]["context"]
        width, height = SIZE
        self.send("browsingContext.setViewport", context=self.context, viewport={"width": width, "height": height})

    def send(self, method: str, **params: Any) -> Any:
        """Send a command and return its result; events that arrive before it are recorded."""
        self._count += 1
        self._connection.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=SECONDS))
            if message["type"] == "event":
                self._record(message["method"], message["params"])
            elif message["id"] == self._count:
                assert message["type"] == "success", message
                return message["result"]

    def open(self, address: str) -> None:
        self.send("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript and return its value, which JSON can hold."""
        script = f"(async () => JSON.stringify(await ({expression}) ?? null))()"
        target = {"context": self.context}
        answer = self.send("script.evaluate", expression=script, target=target, awaitPromise=True)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + SECONDS
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"expected {condition}"
            time.sleep(0.05)

    def key(self, key: str) -> None:
        value = KEYS.get(key, key)
        actions = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._perform({"type": "key", "id": "keyboard", "actions": actions})

    def drag(self, selector: str, by: tuple[int, int]) -> None:
        """Press the mouse in the middle of an element, move it, and release it."""
        x, y = self._middle(selector)
        moves = [{"type": "pointerMove", "x": x, "y": y}, {"type": "pointerDown", "button": 0}]
        moves += [
            {"type": "pointerMove", "x": x + by[0] * part // 4, "y": y + by[1] * part // 4} for part in range(1, 5)
        ]
        self._perform({"type": "pointer", "id": "mouse", "actions": [*moves, {"type": "pointerUp", "button": 0}]})

    def click(self, selector: str) -> None:
        self.drag(selector, (0, 0))

    def choose(self, selector: str, files: list[Path]) -> None:
        """Give files to an input, as the file dialog does."""
        found = self.send(
            "browsingContext.locateNodes", context=self.context, locator={"type": "css", "value": selector}
        )
        node = {"sharedId": found["nodes"][0]["sharedId"]}
        self.send("input.setFiles", context=self.context, element=node, files=[str(file) for file in files])

    def screenshot(self, path: Path) -> None:
        """Save what the tab shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("browsingContext.captureScreenshot", context=self.context)["data"]))

    def strangers(self, address: str) -> list[str]:
        """Return the addresses requested from another host than that of an address."""
        own = urlsplit(address).netloc
        return [
            url for url in self.requested if urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc != own
        ]

    def _middle(self, selector: str) -> tuple[int, int]:
        found = json.dumps(selector)
        box = self.value(f"document.querySelector({found}).getBoundingClientRect()")
        return round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)

    def _perform(self, source: dict[str, Any]) -> None:
        self.send("input.performActions", context=self.context, actions=[source])

    def _record(self, event: str, params: Any) -> None:
        if event == "network.beforeRequestSent":
            self.requested.append(params["request"]["url"])
        elif params["level"] in ("error", "warn"):  # includes violations of the Content-Security-Policy
            self.complaints.append(f"{params['level']}: {params['text']}")

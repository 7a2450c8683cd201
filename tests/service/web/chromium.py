"""The page in Debian's Chromium: its errors and warnings, and calls of single modules."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route, sync_playwright

from tests.conftest import ROOT

WEB = ROOT / "service" / "web"
ALONE = "http://page.invalid"
LANDSCAPE, LARGE, PORTRAIT = (1366, 768), (2560, 1440), (1536, 2048)
SIZES = [LANDSCAPE, LARGE, PORTRAIT]
SECONDS = 60  # for one condition, on a busy machine
# A message of the page disappears after six seconds, and a busy machine may look for it later: in tests it stays.
MESSAGES_STAY = """{
    const set = window.setTimeout;
    window.setTimeout = (run, ...rest) => String(run).includes("toast.textContent") ? 0 : set(run, ...rest);
}"""
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """Start the browser of the distribution, not one that Playwright downloads."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed; install Debian's package chromium")
    flags = ["--no-sandbox", "--force-color-profile=srgb", *options]  # tests run as root and compare colours
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags, timeout=1000 * SECONDS)
        yield browser
        browser.close()


class Tab:
    """A browser tab with the page. It records errors, warnings and requests to other hosts."""

    def __init__(self, browser: Browser, address: str, size: tuple[int, int] = LANDSCAPE) -> None:
        self.address = address
        self._context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self._context.add_init_script("sessionStorage.setItem('triage-reader-asked', 'yes')")  # for their name
        self._context.add_init_script(MESSAGES_STAY)
        self._context.set_default_timeout(1000 * SECONDS)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ("willReadFrequently",)  # a warning that the tests cause by reading canvases
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._request)

    def open(self, place: str = "") -> "Tab":
        self.page.goto(f"{self.address}/{place}")
        return self

    def listed(self) -> list[str]:
        """Return the ids of the rows from top to bottom."""
        self.page.wait_for_selector("#rows tr")
        return list(self.page.locator("#rows tr").evaluate_all("rows => rows.map(row => row.dataset.id)"))

    def view(self, id: str) -> "Tab":
        """Open a radiograph and wait until it is drawn in full quality."""
        self.open(f"#/{id}")
        return self.drawn(id)

    def drawn(self, id: str) -> "Tab":
        self.page.wait_for_selector(f'#viewer[data-shown="{id}"]')
        return self.settled()

    def settled(self) -> "Tab":
        self.page.wait_for_selector('#stage[data-drawn="settled"]')
        return self

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def pressed(self, key: str) -> bool:
        return self.page.get_attribute(f'.tools [data-key="{key}"]', "aria-pressed") == "true"

    def key(self, key: str) -> "Tab":
        if key == "h":  # means something else where it is held
            with self.held(key, 0):
                pass
        else:
            self.page.keyboard.press(key)
        return self

    @contextmanager
    def held(self, letter: str, seconds: float) -> Iterator[None]:
        """Hold a letter's key in a block; the events say for how long, however long the block takes."""
        session = self._context.new_cdp_session(self.page)
        event = {"key": letter, "code": f"Key{letter.upper()}", "windowsVirtualKeyCode": ord(letter.upper())}
        at = time.time()
        session.send("Input.dispatchKeyEvent", event | {"type": "keyDown", "text": letter, "timestamp": at})
        yield
        session.send("Input.dispatchKeyEvent", event | {"type": "keyUp", "timestamp": at + seconds})
        session.detach()

    def beside(self) -> Page:
        """Open another tab of the same browser, without recording its errors."""
        return self._context.new_page()

    def close(self) -> None:
        self._context.close()

    def problems(self) -> list[str]:
        return [one for one in self.complaints if not any(part in one for part in self.expected)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):  # includes violations of the Content-Security-Policy
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.address))  # the address may have a path
        if url.scheme not in ("blob", "data") and f"{url.scheme}://{url.netloc}" != origin:
            self.complaints.append(f"request to {request.url}")


class Modules:
    """The page's modules without a service, to call single functions."""

    def __init__(self, browser: Browser) -> None:
        self._page = browser.new_page()
        self._page.set_default_timeout(1000 * SECONDS)
        self._page.route("**/*", _from_disk)
        self._page.goto(ALONE + "/blank.html")

    def call(self, module: str, function: str, *arguments: Any) -> Any:
        """`function` is JavaScript that takes the module and the arguments."""
        script = f"async ([path, args]) => ({function})(await import(path), ...args)"
        return self._page.evaluate(script, [f"/{module}", list(arguments)])


def _from_disk(route: Route) -> None:
    path = WEB / urlsplit(route.request.url).path.removeprefix("/")
    if path.name == "blank.html":
        route.fulfill(body="<!doctype html><title>blank</title>", content_type="text/html")
    else:
        route.fulfill(body=Path(path).read_bytes(), content_type=_TYPES[path.suffix])

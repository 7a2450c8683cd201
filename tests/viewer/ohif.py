"""OHIF in a browser: opens a study and its series, and returns what the viewport shows."""

import time
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Response

from tests.viewer.front import PASSWORD, USER

SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # WebGL without a GPU
SECONDS = 60  # for what takes one or two on an idle machine
# The tour of its buttons and the notice about its use, which OHIF shows once.
_SEEN = """
localStorage.setItem("shownTours", '["basicViewerTour"]');
sessionStorage.setItem("investigationalUseDialog", "shown");
addEventListener("unhandledrejection", (event) => console.error(String(event.reason?.stack ?? event.reason)));
"""


class Ohif:
    """A tab with OHIF. It records errors of scripts and answers that are errors."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._address = address
        self._context = browser.new_context(
            viewport={"width": 1000, "height": 640}, http_credentials={"username": USER, "password": PASSWORD}
        )
        self._context.add_init_script(_SEEN)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(1000 * SECONDS)
        self.complaints: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("response", self._response)

    def studies(self, text: str, number: int) -> list[str]:
        """Wait until the study list has a number of rows with a text; return these rows."""
        self.page.goto(f"{self._address}/")
        rows = self.page.locator("tbody tr", has_text=text)
        rows.nth(number - 1).wait_for()
        return rows.all_inner_texts()

    def open(self, study: str, *series: str) -> "Ohif":
        """Open a study, or only some of its series; the first radiograph is shown."""
        chosen = f"&SeriesInstanceUIDs={','.join(series)}" if series else ""
        self.page.goto(f"{self._address}/viewer?StudyInstanceUIDs={study}{chosen}")
        self.page.wait_for_selector(".cornerstone-canvas")
        return self

    def series(self, number: int) -> "Ohif":
        """Show a series in the viewport."""
        self.page.locator(f'[data-cy^="study-browser-thumbnail"][data-series="{number}"]').first.dblclick()
        return self

    def viewport(self) -> np.ndarray:
        """Return a picture of the viewport, [H, W, 3] in [0, 1], without the texts at its edges."""
        place = self.page.locator('[data-cy="viewport-pane"]').first.bounding_box()
        assert place is not None
        shot = Image.open(BytesIO(self.page.screenshot(clip=place))).convert("RGB")
        return np.asarray(shot, np.float32) / 255

    def shows(self, matches: Callable[[np.ndarray], bool], seconds: float = SECONDS) -> bool:
        """Wait until the viewport matches; return whether it does in the end."""
        deadline = time.monotonic() + seconds
        while not matches(self.viewport()):
            if time.monotonic() > deadline:
                return False
            self.page.wait_for_timeout(100)
        return True

    def close(self) -> None:
        self._context.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.request.method} {response.url}")

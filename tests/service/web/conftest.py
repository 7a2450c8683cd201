from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.service.web.chromium import Modules, Tab, chromium
from tests.service.web.running import post, radiograph, running
from tests.service.web.viewing import GEOMETRY, HEIGHT, STUDY, TWO_WINDOWS, WIDTH

# The scope is a module rather than the session because Playwright keeps an event loop running in this thread.


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Modules:
    return Modules(browser)


@pytest.fixture(scope="module")
def service(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running(artefact, tmp_path_factory.mktemp("service")) as client:
        yield client


@pytest.fixture
def tab(browser: Browser, service: httpx.Client) -> Iterator[Tab]:
    """A tab that must end without errors, violations of the policy or requests to other hosts."""
    tab = Tab(browser, str(service.base_url).rstrip("/"))
    yield tab
    tab.close()
    assert tab.problems() == []


@pytest.fixture(scope="module")
def predictions(service: httpx.Client) -> list[dict[str, Any]]:
    """A radiograph with everything that the viewer can show, and two others."""
    first = post(service, radiograph(1, (HEIGHT, WIDTH), **TWO_WINDOWS, **GEOMETRY, **STUDY))
    inverse = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": None, "WindowWidth": None}
    second = post(service, radiograph(2, (400, 300), **inverse))
    return [first, second, post(service, radiograph(3, (256, 300), PixelSpacing=[0.2, 0.1]))]


@pytest.fixture
def viewer(tab: Tab, predictions: list[dict[str, Any]]) -> Tab:
    return tab.view(predictions[0]["id"])

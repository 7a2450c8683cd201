"""The service under a path behind nginx, as the example of docs/pacs.md serves it: page, API reference, DICOMweb."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.ports import free_port
from tests.service.web.chromium import Tab, chromium
from tests.service.web.running import post, radiograph, running
from tests.viewer.front import PASSWORD, USER, example_configuration, nginx

ACCEPT = {"Accept": "application/dicom+json"}


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of nginx with a key of all scopes; one radiograph is stored."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "ohif").mkdir()
    (folder / "ohif" / "index.html").write_text("the viewer")
    port = free_port()
    with running(artefact, folder, TRIAGE_HTTP__KEYS="always", TRIAGE_HTTP__PROXIES='["127.0.0.1"]') as service:
        key = (folder / "data" / "first_key").read_text().strip()
        with nginx(folder, example_configuration(folder, port, service.base_url, key)):
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/triage", headers=headers, timeout=60) as client:
                post(client, radiograph(1))
                yield client


@pytest.fixture
def tab(client: httpx.Client) -> Iterator[Tab]:
    with chromium() as browser:
        tab = _tab(browser, client)
        yield tab
        tab.close()
    assert tab.problems() == []


def _tab(browser: Browser, client: httpx.Client) -> Tab:
    tab = Tab(browser, str(client.base_url).rstrip("/"))
    tab.expected += ("401",)  # until the key is entered
    tab.open()
    tab.page.fill("#key", client.headers["Authorization"].removeprefix("Bearer "))
    tab.page.keyboard.press("Enter")
    return tab


def retrieve_url(item: dict[str, Any]) -> str:
    [url] = item["00081190"]["Value"]
    return str(url)


def test_the_page_its_events_its_viewer_and_the_api_reference_work(tab: Tab, client: httpx.Client) -> None:
    [id] = tab.listed()
    tab.page.wait_for_selector('#live[data-state="live"]')
    tab.page.locator("#rows tr").click()
    tab.drawn(id)
    second = post(client, radiograph(2))
    tab.key("Escape").page.wait_for_selector(f'#rows tr[data-id="{second["id"]}"]')  # an event told of it

    tab.page.goto(f"{tab.address}/docs")
    tab.page.wait_for_selector(".opblock")
    assert tab.page.locator(".servers option").all_inner_texts() == ["/triage"]


def test_every_address_in_an_answer_leads_back_through_the_proxy(client: httpx.Client) -> None:
    base = str(client.base_url).rstrip("/")
    [study] = [item for item in client.get("/dicom-web/studies", headers=ACCEPT).json() if "2.25.61" in str(item)]
    stow = ACCEPT | {"Content-Type": "application/dicom"}
    stored = client.post("/dicom-web/studies", content=radiograph(1), headers=stow).json()
    record = client.get("/v1/worklist").json()["items"][0]

    assert retrieve_url(study) == f"{base}/dicom-web/studies/2.25.61"
    assert retrieve_url(stored) == f"{base}/dicom-web/studies/2.25.61"
    assert client.get(retrieve_url(study)).status_code == 200
    assert client.get(f"http://{client.base_url.netloc.decode()}{record['links']['overlay']}").status_code == 200
    assert httpx.get(base, timeout=60).headers["location"] == f"{base}/"


def test_the_viewer_and_its_dicomweb_are_behind_a_password(client: httpx.Client) -> None:
    origin, login = f"http://{client.base_url.netloc.decode()}", (USER, PASSWORD)
    with httpx.Client(base_url=origin, timeout=60) as front:
        answer = front.get("/dicom-web/studies", headers=ACCEPT, auth=login)

        assert front.get("/viewer", auth=login).text == "the viewer"
        assert [front.get(path).status_code for path in ("/viewer", "/dicom-web/studies")] == [401, 401]
        assert retrieve_url(answer.json()[0]).startswith(f"{origin}/dicom-web/studies/")
        assert front.get("/triage/v1/model", auth=login).status_code == 401

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.serving import Client, serving, settings_for


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        yield client


def test_the_page_and_all_that_it_loads_come_from_here(client: Client) -> None:
    page = client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http" not in page.headers["content-security-policy"]
    assert len(loaded) == 4
    for path in loaded:
        assert path.startswith("/")
        assert client.get(path).status_code == 200
    assert "SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").text


@pytest.mark.parametrize("name", ["core.py", "__init__.py", "%2e%2e%2fcore.py", "favicon.png"])
def test_nothing_else_of_the_package_is_sent(client: Client, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404

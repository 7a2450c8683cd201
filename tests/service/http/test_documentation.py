import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.serving import Client, serving, settings_for


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        yield client


def test_the_page_loads_everything_from_this_service(client: Client) -> None:
    page = client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http" not in page.headers["content-security-policy"]
    assert len(loaded) == 4
    for path in loaded:
        assert not path.startswith("/")  # relative, so that it also loads under a path
        assert client.get(f"/{path}").status_code == 200
    assert "SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").text


@pytest.mark.parametrize("name", ["core.py", "__init__.py", "%2e%2e%2fcore.py", "favicon.png"])
def test_other_files_of_the_package_are_404(client: Client, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404


def test_every_example_code_of_the_openapi_document_exists_in_the_sources(client: Client, root: Path) -> None:
    sources = [path.read_text() for path in (root / "service").rglob("*.py") if path.parent.name != "http"]
    document = json.dumps(client.get("/openapi.json").json())

    examples = {code for listed in re.findall(r'"examples": (\[[^}]*?\])[,}]', document) for code in strings(listed)}

    assert {"modality_unsuitable", "unsuitable_image", "view_position_missing", "unreachable"} <= examples
    for code in examples:
        assert any(f'"{code}"' in source for source in sources), code


def strings(listed: str) -> list[str]:
    """Return the codes in a JSON list: lower-case words joined by underscores."""
    return re.findall(r'"([a-z_]+)"', listed)

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel

from service.http import (
    acknowledgement,
    bodies,
    examples,
    health,
    measurements,
    opinions,
    priors,
    sends,
    statistics,
    worklist,
    worklist_bodies,
)
from tests.service.serving import Client, serving, settings_for

MODULES = (
    acknowledgement,
    health,
    measurements,
    opinions,
    priors,
    sends,
    statistics,
    worklist,
    bodies,
    worklist_bodies,
)


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


def test_every_route_has_a_summary_a_command_and_examples(client: Client) -> None:
    document = client.get("/openapi.json").json()

    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"{method} {path}"
            assert len(operation["summary"].split()) >= 3, place
            assert not operation["summary"].endswith("."), place
            command = shlex.split(operation["description"].rpartition("\n\n")[2])
            assert command[0] == "curl", place
            assert re.fullmatch(re.sub(r"\{\w+\}", r"[\\w.]+", path), urlsplit(command[-1]).path), place
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                for media_type, content in body.get("content", {}).items():
                    if content.get("schema", {}).get("format") != "binary" and not media_type.startswith("multipart/"):
                        assert "example" in content, f"{place}: no example of {media_type} in service/http/examples.py"


def test_the_examples_have_the_members_of_their_schemas() -> None:
    models = {name: model for module in MODULES for name, model in vars(module).items() if is_body(model)}

    for name, example in examples.BY_SCHEMA.items():
        models[name].model_validate(example)  # a missing member is refused, and in most an unknown one
    assert examples.PROBLEM["errors"][0]["code"] == "body_part_unsuitable"


def is_body(value: object) -> bool:
    """Say whether a name of a module is a pydantic model, and not a dataclass of another room."""
    return isinstance(value, type) and issubclass(value, BaseModel)


def strings(listed: str) -> list[str]:
    """Return the codes in a JSON list: lower-case words joined by underscores."""
    return re.findall(r'"([a-z_]+)"', listed)

"""`docs/deploy.md` and the files of `docker/` agree with the code and the compose file."""

import re
import tomllib
from pathlib import Path

import pytest

from service import settings
from service.cli.settings_table import Variable, variables
from service.dimse.counts import REGISTRY
from service.http.app import create_app

OPEN, CLOSE = "<!-- settings -->\n", "<!-- settings end -->"


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "deploy.md").read_text()


def test_its_table_lists_the_settings(page: str) -> None:
    table = page.partition(OPEN)[2].partition(CLOSE)[0]

    assert table == _table(), f"the table in docs/deploy.md must be:\n{_table()}"


def test_it_names_every_variable_and_service_of_the_compose_file(page: str, root: Path) -> None:
    compose = (root / "docker-compose.yml").read_text()
    services = re.findall(r"^  ([a-z-]+):$", compose.partition("\nservices:")[2].partition("\nnetworks:")[0], re.M)
    variables = re.findall(r"\$\{([A-Z_]+)", compose)

    assert services
    assert {name for name in [*services, *variables] if f"`{name}`" not in page} == set()


def test_nginx_accepts_bodies_one_mebibyte_larger_than_the_service(root: Path) -> None:
    body, store = re.findall(r"client_max_body_size (\d+)m;", (root / "docker" / "nginx.conf").read_text())

    limits = settings.Settings().limits
    assert int(body) * 2**20 == limits.max_body_bytes + 2**20
    assert int(store) * 2**20 == limits.max_store_bytes + 2**20


@pytest.mark.parametrize("name", ["service", "training"])
def test_the_images_are_labelled_with_the_version_of_the_project(root: Path, name: str) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]

    assert f'org.opencontainers.image.version="{version}"' in (root / "docker" / f"{name}.Dockerfile").read_text()


def test_its_table_lists_the_metrics(page: str, tmp_path: Path) -> None:
    app = create_app(settings.Settings(storage=settings.Storage(folder=tmp_path)))
    families = [family for collector in (*app.state.collectors, REGISTRY) for family in collector.collect()]
    app.state.pipeline.database.close()
    rows = [
        f"| `{family.name}{'_total' * (family.type == 'counter')}` | {family.type} | {family.documentation} |"
        for family in families
    ]
    expected = "\n".join(["| metric | type | what it is |", "|---|---|---|", *rows, ""])
    table = page.partition("<!-- metrics -->\n")[2].partition("<!-- metrics end -->")[0]

    assert table == expected, f"the table in docs/deploy.md must be:\n{expected}"


def _table() -> str:
    rows = [f"| `{setting.name}` | {_default(setting)} | {setting.description} |" for setting in variables()]
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows, ""])


def _default(variable: Variable) -> str:
    if variable.name == "TRIAGE_MODEL__PATH":
        return "the artefact that ships"
    return f"`{variable.default}`" if variable.default else ""

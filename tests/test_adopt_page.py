"""The commands of `docs/adopt.md` have options that exist, and its table names the forms as the code has them."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from training.cli.app import app
from training.errors import TrainingError
from training.export.adoption import THRESHOLDS, Publication
from training.export.published_form import FORMS, choose_scale

PAGE = (ROOT / "docs" / "adopt.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^ {4}agcnn (.*)$", PAGE, re.MULTILINE)]


def test_every_adoption_has_what_its_form_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[Publication] = []

    def note(publication: Publication) -> None:
        described.append(publication)
        raise TrainingError("noted")

    monkeypatch.setattr("training.export.adoption.adopt", note)
    for command in COMMANDS:
        if command[0] == "adopt":
            assert "noted" in CliRunner().invoke(app, command).stderr, command
    assert [publication.form for publication in described] == list(FORMS)
    for publication in described:
        assert choose_scale(publication.form, publication.scale)
        assert publication.labels or FORMS[publication.form].outputs


def test_every_other_command_has_options_that_exist() -> None:
    for name, *words in COMMANDS:
        help_text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        assert all(word in help_text for word in words if word.startswith("--")), name


def test_the_table_has_every_form() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d,\sA-Za-z:-]+)", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(FORMS)
    assert f"`{THRESHOLDS}` is NaN" in PAGE
    for name, form in FORMS.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(str(side) in row for side in form.sides.values())
        assert str(len(form.outputs)) in row if form.outputs else "--labels" in row


def test_the_files_it_links_to_exist() -> None:
    links = re.findall(r"\]\(([\w./]+)\)", PAGE)
    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from tests.conftest import ROOT
from tests.service.conftest import Run

NEWEST = ScriptDirectory(str(ROOT / "service" / "storage" / "migrations")).get_current_head()


def revisions(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as database:
        return [revision for (revision,) in database.execute("SELECT version_num FROM alembic_version")]


def test_the_database_is_at_the_newest_revision_afterwards(run: Run, tmp_path: Path) -> None:
    said = (0, f"the database is at revision {NEWEST}\n", "")

    assert [run("migrate"), run("migrate")] == [said, said]
    assert revisions(tmp_path / "data" / "triage.sqlite") == [NEWEST]


def test_a_database_of_a_newer_version_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    run("migrate")
    file = tmp_path / "data" / "triage.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()

    _, out, err = run("migrate")
    assert "9999" in out + err
    assert revisions(file) == ["9999"]


def test_a_database_that_cannot_be_reached_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_DATABASE__URL", "sqlite:////proc/nowhere/a.sqlite")

    code, _, err = run("migrate")
    assert (code, len(err.splitlines())) == (2, 1)

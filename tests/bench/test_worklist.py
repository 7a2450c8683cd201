"""The rows that are measured, and that each query is."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from bench import server_rows, worklist
from service.storage.database import Database
from service.storage.tables import INSTANCES, PREDICTIONS, WORKLIST
from tests.postgresql import PostgreSQL, running


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with running() as server:
        yield server


def measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["worklist", "--rows", "120", *options])
    monkeypatch.setattr(worklist, "REPEATS", 1)
    worklist.main()
    return capsys.readouterr().out.splitlines()


def test_every_query_of_a_list_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    filled, *lines = measured(monkeypatch, capsys)

    assert filled.startswith("120 rows filled")
    assert lines[0].startswith("first page and counts")
    assert all(line.endswith(" ms") for line in lines)


@pytest.mark.postgresql
def test_every_index_and_query_of_a_server_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], postgresql: PostgreSQL
) -> None:
    with postgresql.database("template1") as url:
        lines = measured(monkeypatch, capsys, "--url", url)

    indices = [line for line in lines if line.startswith("index ")]
    assert {"ix_instances_name", "ix_worklist_urgency", "ix_predictions_created_id"} <= {
        line.split()[1] for line in indices
    }
    assert all(line.endswith(" s") for line in indices)
    names = [line[:44].strip() for line in lines if line.endswith(" ms")]
    assert len(lines) == len(indices) + 1 + len(names)
    assert {"QIDO, name", "page of records"} <= set(names)
    assert {"search, one hit", "search, one hit, indexed", "QIDO, end of a rare name, indexed"} <= set(names)
    assert len(names) == len(set(names))


def test_the_indices_of_texts_are_those_of_the_documentation(root: Path) -> None:
    text = (root / "docs" / "deploy.md").read_text()
    commands = re.findall(r"^ +CREATE INDEX CONCURRENTLY (\w+) ON (.*);$", text, re.MULTILINE)

    assert dict(commands) == server_rows.TRIGRAMS


@pytest.mark.postgresql
def test_a_server_makes_the_same_rows(monkeypatch: pytest.MonkeyPatch, postgresql: PostgreSQL) -> None:
    """But for what is drawn at random, and the maps that it leaves out."""
    monkeypatch.setattr(server_rows, "BATCH", 30)
    with postgresql.database() as url:
        worklist.fill_server(url, 50)
        database = Database(url)
        with database.read() as connection:
            instances = connection.execute(sa.select(INSTANCES).order_by(INSTANCES.c.id)).mappings().all()
            entries = connection.execute(sa.select(WORKLIST).order_by(WORKLIST.c.instance_id)).mappings().all()
            bodies = connection.execute(
                sa.select(WORKLIST.c.positive, PREDICTIONS.c.body, PREDICTIONS.c.priority, WORKLIST.c.rank).join(
                    PREDICTIONS, PREDICTIONS.c.id == WORKLIST.c.prediction_id
                )
            ).all()
            left = connection.execute(sa.text("SELECT conname FROM pg_constraint WHERE contype = 'f'")).all()
        database.close()

    same = ("searched", "patient_key", "study_key", "created", "instance_id", "newest")
    for made, entry, (instance, _, own) in zip(
        instances, entries, worklist.table_rows(Random(0), range(50)), strict=True
    ):
        assert {name: made[name] for name in instance if name != "identity_version"} == {
            name: value for name, value in instance.items() if name != "identity_version"
        }
        assert {name: entry[name] for name in same} == {name: own[name] for name in same}
    assert len(bodies) == 50
    for positive, body, priority, rank in bodies:
        found = [each["label"] for each in body["findings"] if each["positive"]]
        assert positive == "".join(f"|{label}|" for label in found)
        assert priority == ("STAT", "HIGH", "ROUTINE")[rank]
    assert len(left) == 5

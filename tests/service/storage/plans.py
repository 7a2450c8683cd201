"""The plans of queries: how SQLite and PostgreSQL would carry them out."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.storage.database import Database


def query_plan(database: Database, query: Callable[[], object]) -> list[tuple[int, int, str]]:
    """Return SQLite's plan for the statements that `query` runs: number, number of the parent and description."""
    statements = statements_of(database, query)
    with database.read() as connection:
        return [
            (step.id, step.parent, step.detail)
            for statement, parameters in statements
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


def statements_of(database: Database, query: Callable[[], object]) -> list[tuple[str, Any]]:
    """Return the SELECT statements that `query` runs, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    sa.event.listen(database._engine, "before_cursor_execute", record)
    query()
    sa.event.remove(database._engine, "before_cursor_execute", record)
    return statements


ORDERED = ("seqscan", "bitmapscan", "sort")  # ways to avoid, so that rows are read in an order
BITMAPS = ("seqscan", "indexscan", "indexonlyscan")  # so that they are collected from indices


def server_plans(
    database: Database, query: Callable[[], object], avoided: tuple[str, ...] = ORDERED
) -> list[dict[str, Any]]:
    """Return PostgreSQL's plans; for a table of two rows it would choose another way if it could."""
    statements = statements_of(database, query)
    with database.read() as connection:
        for way in avoided:
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return [
            connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()[0]["Plan"]
            for statement, parameters in statements
        ]


def index_texts(database: Database, root: Path) -> None:
    """Build the indices of texts by the commands of the documentation."""
    text = (root / "docs" / "deploy.md").read_text()
    commands = re.findall(r"^ +(CREATE (?:EXTENSION|INDEX CONCURRENTLY) .*;)$", text, re.MULTILINE)
    assert len(commands) == 3
    with database._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for command in commands:
            connection.exec_driver_sql(command)


def below(node: dict[str, Any], stop: str = "") -> Iterator[dict[str, Any]]:
    """Yield a node of a plan and those below it, down to nodes of one type."""
    if node["Node Type"] != stop:
        yield node
        for child in node.get("Plans", ()):
            yield from below(child, stop)

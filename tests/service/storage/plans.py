"""The plans of queries: how SQLite and PostgreSQL would carry them out."""

from collections.abc import Callable, Iterator
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


def server_plans(database: Database, query: Callable[[], object]) -> list[dict[str, Any]]:
    """Return PostgreSQL's plans; for a table of two rows it would choose another way if it could."""
    statements = statements_of(database, query)
    with database.read() as connection:
        for way in ("seqscan", "bitmapscan", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return [
            connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()[0]["Plan"]
            for statement, parameters in statements
        ]


def below(node: dict[str, Any], stop: str = "") -> Iterator[dict[str, Any]]:
    """Yield a node of a plan and those below it, down to nodes of one type."""
    if node["Node Type"] != stop:
        yield node
        for child in node.get("Plans", ()):
            yield from below(child, stop)

"""Arithmetic with times in SQL, which SQLite and PostgreSQL write differently."""

from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class monday(GenericFunction[date]):  # noqa: N801
    """The Monday of the week of a time, by ISO 8601 in UTC: `monday(time)`."""

    type = sa.Date()
    inherit_cache = True


class seconds(GenericFunction[float]):  # noqa: N801
    """Seconds from one time to another, to the millisecond: `seconds(start, end)`."""

    type = sa.Double()
    inherit_cache = True


@compiles(monday, "sqlite")
def _monday_in_sqlite(function: monday, compiler: SQLCompiler, **options: Any) -> str:
    (time,) = _arguments(function, compiler, options)
    return f"date({time}, '-6 days', 'weekday 1')"


@compiles(monday, "postgresql")
def _monday_in_postgresql(function: monday, compiler: SQLCompiler, **options: Any) -> str:
    (time,) = _arguments(function, compiler, options)
    return f"CAST(date_trunc('week', {time} AT TIME ZONE 'UTC') AS DATE)"


@compiles(seconds, "sqlite")
def _seconds_in_sqlite(function: seconds, compiler: SQLCompiler, **options: Any) -> str:
    start, end = _arguments(function, compiler, options)
    return f"round((julianday({end}) - julianday({start})) * 86400, 3)"


@compiles(seconds, "postgresql")
def _seconds_in_postgresql(function: seconds, compiler: SQLCompiler, **options: Any) -> str:
    start, end = _arguments(function, compiler, options)
    return f"round(EXTRACT(EPOCH FROM {end} - {start}), 3)"


def _arguments(function: GenericFunction[Any], compiler: SQLCompiler, options: dict[str, Any]) -> tuple[str, ...]:
    return tuple(compiler.process(clause, **options) for clause in function.clauses)

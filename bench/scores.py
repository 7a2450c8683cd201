"""Rows of a run's metrics.json, and their format in the tables of docs/."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_metrics(run: Path) -> dict[str, list[Row]]:
    """Read the metrics of an evaluated run."""
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def pick(rows: Iterable[Row], **fields: object) -> Row:
    """The first row with these fields."""
    return next(row for row in rows if all(row[name] == value for name, value in fields.items()))


def cell(row: Row, signed: bool = False) -> str:
    """Format a value with its 95 % interval."""
    if row["value"] is None or row["interval"] is None:
        return "n/a"
    sign = "+" if signed else ""
    low, high = row["interval"]
    return f"{row['value']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def table(rows: list[list[str]]) -> str:
    """Format a Markdown table; the first row is the header."""
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def between(page: Path, mark: str, text: str) -> None:
    """Replace the text of a page between `<!-- mark -->` and `<!-- mark end -->`."""
    begin, end = f"<!-- {mark} -->", f"<!-- {mark} end -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")

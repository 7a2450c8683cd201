"""The Grafana board that ships."""

import json
from collections.abc import Iterator
from typing import Any

from tests.observe.prometheus import FOLDER

FILE = FOLDER / "grafana" / "dashboards" / "triage.json"


def board() -> dict[str, Any]:
    return dict(json.loads(FILE.read_text()))


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something: not the headings of rows."""
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str, bool]]:
    """Return the title of the panel, the expression, and whether it is of one moment, of every query."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["instant"]


def resolved(expression: str) -> str:
    """Return an expression with values for Grafana's variables."""
    return expression.replace("$__rate_interval", "1m").replace("$__range", "5m")

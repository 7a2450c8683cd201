"""Measurements kept on disk, so that a run that was cut goes on where it stopped."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.prevalence import ROOT

Value = TypeVar("Value")
Rows = dict[str, Any]


def identity() -> str:
    """Name the sources of the service that is measured: rows of other sources do not count."""
    return _git("rev-parse", "--short=12", "HEAD:service") + ("+changes" if _git("status", "-s", "service") else "")


@dataclass
class Kept:
    """The rows of one section, JSON lines of a file.

    Attributes
    ----------
    path
        File of the rows; it is created with the first.
    sources
        `identity()` of what is measured.
    """

    path: Path
    sources: str
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        rows = [json.loads(line) for line in lines]
        self.rows = {row["key"]: row["value"] for row in rows if row["sources"] == self.sources}

    def once(self, key: str, measure: Callable[[], Value]) -> Value:
        """Return the kept value of a key; measure and keep it if there is none."""
        if key not in self.rows:
            value = measure()
            self.rows[key] = json.loads(json.dumps(value))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"sources": self.sources, "key": key, "value": value}) + "\n")
            print(f"  {key}: {json.dumps(value)[:200]}", flush=True)
        kept: Value = self.rows[key]
        return kept


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()

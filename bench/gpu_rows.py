"""Rows of the measurements on a GPU: each is kept in a file when it is finished, and a second call goes on after it."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NEEDED = 60.0  # seconds that must be left to begin another row; compiling takes most


class OutOfTime(Exception):
    """The time of this call is over; another call goes on."""


def read(path: Path) -> dict[str, Row]:
    """Return the rows of a file by name; of several with one name the last."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {row["name"]: row for row in map(json.loads, lines)}


@dataclass
class Rows:
    """The file of finished rows, and the moment at which no further one is begun.

    Attributes
    ----------
    path
        JSON lines.
    end
        Moment of `time.monotonic`.
    failed
        Names of rows of this call that failed or whose outputs differ by more than is allowed.
    """

    path: Path
    end: float
    failed: list[str] = field(default_factory=list)

    def add(self, name: str, measure: Callable[[], Row]) -> None:
        """Measure a row and append it, unless the file has it; a row that failed is measured again.

        Raises
        ------
        OutOfTime
            Too little time is left.
        """
        earlier = read(self.path).get(name)
        if earlier is not None and "failed" not in earlier:
            return
        if self.end - time.monotonic() < NEEDED:
            raise OutOfTime(name)
        start = time.monotonic()
        try:
            row = measure()
        except Exception as error:  # one form that a machine lacks must not keep the others from being measured
            row = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:500]}
        row = {"name": name, **row, "seconds": round(time.monotonic() - start, 1)}
        if "failed" in row or row.get("equal") is False:
            self.failed.append(name)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(json.dumps(row), flush=True)

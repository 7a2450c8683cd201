"""A figure with its bar, and the report of a section."""

import operator
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.scores import table

NOTES = Path(__file__).with_name("notes.toml")
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Figure:
    """One line of the table of bars.

    Attributes
    ----------
    name
        What is measured.
    sign, bar
        The bar, as in ≥ 0.85.
    value
        What was measured; None if it was not.
    unit
        Follows both numbers.
    """

    name: str
    sign: Literal["≥", "≤"]
    bar: float
    value: float | None
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the value, as it is shown, reaches the bar."""
        compare = operator.ge if self.sign == "≥" else operator.le
        return self.value is not None and bool(compare(round(self.value, 2), self.bar))

    def cells(self, notes: dict[str, str]) -> list[str]:
        """Return the cells of its line."""
        value = NOT_MEASURED if self.value is None else f"{number(self.value)}{self.unit}"
        remark = "" if self.met else notes.get(self.name, "short" if self.value is not None else "")
        return [self.name, f"{self.sign} {self.bar:g}{self.unit}", f"**{value}**" if self.met else value, remark]


@dataclass(frozen=True)
class Report:
    """What a section says: Markdown, and its figures with bars."""

    text: str
    figures: Sequence[Figure] = field(default=())


def bars(figures: Sequence[Figure]) -> str:
    """Return the table of all figures with bars."""
    notes: dict[str, str] = tomllib.loads(NOTES.read_text(encoding="utf-8"))
    head = ["figure", "bar", "measured (bold: reached)", "where it falls short"]
    return table([head, *(figure.cells(notes) for figure in figures)])


def number(value: float) -> str:
    """Return a number with about three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ratio(above: float | None, below: float | None) -> float | None:
    """Divide two measurements, if there are both."""
    return above / below if above and below else None

"""Lines of a CSV table, RFC 4180."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs text with one of these prefixes


def lines(rows: Iterable[Sequence[object]]) -> str:
    """Format rows; text that a spreadsheet would run as a formula is prefixed with an apostrophe."""
    out = io.StringIO()
    csv.writer(out).writerows([[_escaped(cell) for cell in row] for row in rows])
    return out.getvalue()


def _escaped(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

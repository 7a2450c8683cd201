"""The comparison of systems as a Markdown document."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from service.artefact.card import NOTICE
from training.evaluation.systems import MACRO, Comparison

Row = Mapping[str, Any]


def document(compared: Comparison, descriptions: Mapping[str, str], split: str, branch: str) -> str:
    """Return the tables: the systems, their macro AUROC, and the AUROC of every finding.

    Parameters
    ----------
    descriptions
        Name of each system to what it is; the first is the baseline.
    split
        Name of the images, such as `test, collection B`.
    """
    names = list(descriptions)
    by = {(row["system"], row["label"]): row for row in compared.rows}
    systems = [f"- {name}{' (baseline)' if name == names[0] else ''}: {text}" for name, text in descriptions.items()]
    return "\n".join(
        [
            f"# Comparison of {len(names)} systems",
            "",
            NOTICE,
            "",
            *systems,
            "",
            f"AUROC of the {branch} branch on {split}: {compared.images:,} images of {compared.patients:,} patients. "
            "Value: mean over seeds. In brackets: 95 % interval by resampling the patients, with the seeds as they "
            "are; differences are paired by patient. SD and range: over seeds.",
            "",
            f"## Macro AUROC over {averaged(compared)}",
            "",
            *macro_table(by, names),
            "",
            "## AUROC of each finding",
            "",
            *finding_table(by, names, compared.positives),
            "",
        ]
    )


def averaged(compared: Comparison) -> str:
    """Name the findings of the macro average, or those that it lacks."""
    without = [label for label in compared.positives if label not in compared.averaged]
    count = f"{len(compared.averaged)} findings"
    return f"{count}, without {', '.join(without)}: fewer than ten positives or negatives" if without else count


def macro_table(by: Mapping[tuple[str, str], Row], names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table of macro AUROC, one system in each row."""
    yield from table_head(["system", "seeds", "macro AUROC", "SD", "range", f"minus {names[0]}"])
    for name in names:
        row = by[name, MACRO]
        yield line([name, str(len(row["seeds"])), measured(row), deviation(row), extremes(row), difference(row)])


def finding_table(
    by: Mapping[tuple[str, str], Row], names: Sequence[str], positives: Mapping[str, int]
) -> Iterator[str]:
    """Yield the lines of the table of findings, one finding in each row."""
    others = names[1:]
    yield from table_head(["finding", "positives", *names, *(f"{name} minus {names[0]}" for name in others)])
    for label, count in positives.items():
        values = [measured(by[name, label]) for name in names]
        yield line([label, str(count), *values, *(difference(by[name, label]) for name in others)])


def table_head(cells: Sequence[str]) -> Iterator[str]:
    """Yield the head of a Markdown table and the line below it."""
    yield line(cells)
    yield line(["---"] * len(cells))


def line(cells: Iterable[str]) -> str:
    """Format a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def measured(row: Row | None, sign: str = "") -> str:
    """Format a value with its interval; n/a if undefined."""
    if row is None or row["value"] is None:
        return "n/a"
    low, high = row["interval"] or (None, None)
    between = "" if low is None else f" ({low:{sign}.3f} to {high:{sign}.3f})"
    return f"{row['value']:{sign}.3f}{between}"


def difference(row: Row) -> str:
    """Format the difference to the baseline; nothing for the baseline itself."""
    return measured(row["difference"], "+") if row["difference"] else ""


def deviation(row: Row) -> str:
    """Format the standard deviation over seeds; n/a for one seed."""
    return f"{np.std(row['seeds'], ddof=1):.4f}" if len(row["seeds"]) > 1 else "n/a"


def extremes(row: Row) -> str:
    """Format the lowest and the highest seed; n/a for one seed."""
    return f"{min(row['seeds']):.3f} to {max(row['seeds']):.3f}" if len(row["seeds"]) > 1 else "n/a"

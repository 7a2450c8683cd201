"""Lines on triage in the summary that `agcnn evaluate` prints."""

from collections.abc import Iterator
from typing import Any

from service.triage.rule import PRIORITIES
from training.evaluation.scores import Row
from training.evaluation.triage_table import NO_FINDING, URGENT


def triage_lines(metrics: dict[str, Any]) -> Iterator[str]:
    """Yield which findings have no operating point, and the triage table of every part of the test list.

    Parameters
    ----------
    metrics
        Content of `metrics.json`.
    """
    for label, reason in metrics.get("operating_points_missing", {}).items():
        yield f"{label}: no operating point: {reason}"
    for table in metrics.get("triage", ()):
        where, rows = f"{table['split']}, {table['images']} images", {row["label"]: row for row in table["findings"]}
        for label in (*table["rule"]["STAT"], *table["rule"]["HIGH"], URGENT):
            yield f"{where}, {label}: {counts(rows[label])}"
        yield f"{where}, {NO_FINDING}: {share(rows[NO_FINDING]['alerted'])} alerted"
        for row in table["order"]:
            yield f"{where}, order for {row['label']}: AUROC {number(row['auroc'])}; precision {precisions(row)}"


def counts(row: Row) -> str:
    """Format the number of images and their priorities as `85: 11 STAT, 32 HIGH, 42 ROUTINE`."""
    return f"{row['positives']}: " + ", ".join(f"{row[name]} {name}" for name in PRIORITIES)


def precisions(row: Row) -> str:
    """Format the precision of the first entries as `0.50 of the first 10, …`; n/a where there are fewer."""
    return ", ".join(
        f"{'n/a' if value is None else f'{value:.2f}'} of the first {first}"
        for first, value in row["precision"].items()
    )


def number(figure: Row) -> str:
    """Format a value with its interval as `0.751 (0.720-0.780)`."""
    if figure["value"] is None:
        return "n/a"
    return f"{figure['value']:.3f}" + bounds(figure, ".3f")


def share(figure: Row) -> str:
    """Format a share with its interval as `14.6% (12.0%-17.0%)`."""
    return "n/a" if figure["value"] is None else f"{figure['value']:.1%}" + bounds(figure, ".1%")


def bounds(figure: Row, form: str) -> str:
    """Format an interval as ` (0.720-0.780)`; nothing if there is none."""
    if figure["interval"] is None:
        return ""
    low, high = figure["interval"]
    return f" ({low:{form}}-{high:{form}})"

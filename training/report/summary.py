"""The few figures of an evaluation that the command prints, in words."""

from collections.abc import Iterator
from typing import Any

from training.evaluation.scores import Row

HEADLINE_IOU = 0.3


def headlines(found: dict[str, Any]) -> Iterator[str]:
    """Macro AUROC of every branch and compared model by split, differences, and localisation beside its controls."""
    for section in ("metrics", "compared"):
        for row in found[section]:
            if (row["name"], row["label"]) == ("auroc", "macro"):
                where = f"{row['split']}, {row['images']} images, {row['branch']}"
                yield f"{where}: macro AUROC {number(row)} over {len(row['labels'])} findings"
    for row in found["differences"]:
        if row["label"] == "macro":
            yield f"{row['split']}, {row['branch']} minus {row['against']}: macro AUROC {number(row, '+')}"
    for split in found["data"]:
        rows = [row for row in found["localisation"] if (row["split"], row["label"]) == (split, "all")]
        for measure, at, words in (("pointing", None, "pointing"), ("iou", HEADLINE_IOU, f"IoU > {HEADLINE_IOU}")):
            by = {row["by"]: row for row in rows if (row["measure"], row["at"]) == (measure, at)}
            if by:
                shares = ", ".join(f"{name} {number(row)}" for name, row in by.items())
                yield f"{split}, {by['attention']['boxes']} boxes, {words}: {shares}"


def number(row: Row, sign: str = "") -> str:
    """`0.801 (0.780-0.822)`, or n/a."""
    if row["value"] is None:
        return "n/a"
    low, high = row["interval"] or (float("nan"), float("nan"))
    between = " to " if sign else "-"
    return f"{row['value']:{sign}.3f} ({low:{sign}.3f}{between}{high:{sign}.3f})"

"""The summary of an evaluation that `agcnn evaluate` prints."""

from collections.abc import Iterator
from typing import Any

from training.evaluation.predictions import BRANCHES
from training.evaluation.scores import Row
from training.report.adjudicated_summary import adjudicated_lines
from training.report.triage_summary import triage_lines

SUMMARY_IOU = 0.3
NO_SOURCE = "the run kept no image apart, and no --fold was given; it has no operating points and cannot be exported"


def summary_lines(metrics: dict[str, Any]) -> Iterator[str]:
    """Yield the source of calibration, macro AUROC by split and branch or model, differences, localisation, and triage.

    Parameters
    ----------
    metrics
        Content of `metrics.json`.
    """
    if calibration := metrics.get("calibration"):
        source, images = calibration["source"], calibration["images"]
        yield f"calibrated on: {source}, {images} images" if source else f"not calibrated: {NO_SOURCE}"
    absent = absent_branches(metrics)
    for section in ("metrics", "compared"):
        for row in metrics[section]:
            if (row["name"], row["label"]) == ("auroc", "macro") and row["branch"] not in absent:
                where = f"{row['split']}, {row['images']} images, {row['branch']}"
                yield f"{where}: macro AUROC {number(row)} over {len(row['labels'])} findings"
    for row in metrics["differences"]:
        if row["label"] == "macro" and not (absent and row["branch"] in BRANCHES):
            yield f"{row['split']}, {row['branch']} minus {row['against']}: macro AUROC {number(row, '+')}"
    for split in metrics["data"]:
        rows = [row for row in metrics["localisation"] if (row["split"], row["label"]) == (split, "all")]
        for measure, at, words in (("pointing", None, "pointing"), ("iou", SUMMARY_IOU, f"IoU > {SUMMARY_IOU}")):
            by = {row["by"]: row for row in rows if (row["measure"], row["at"]) == (measure, at)}
            if by:
                shares = ", ".join(f"{name} {number(row)}" for name, row in by.items())
                yield f"{split}, {by['attention']['boxes']} boxes, {words}: {shares}"
    yield from triage_lines(metrics)
    yield from adjudicated_lines(metrics)


def external_lines(metrics: dict[str, Any]) -> Iterator[str]:
    """Yield the macro AUROC of every branch on each external set, and how many findings have one."""
    absent = absent_branches(metrics)
    for section in metrics.get("external", {}).values():
        for row in section["metrics"]:
            if (row["name"], row["label"]) == ("auroc", "macro") and row["branch"] not in absent:
                where = f"external, {row['split']}, {row['images']} images, {row['branch']}"
                yield f"{where}: macro AUROC {number(row)} over {len(row['labels'])} findings"


def absent_branches(metrics: dict[str, Any]) -> tuple[str, ...]:
    """Return the branches that the evaluated network lacks; without a second look, the others are equal."""
    return () if metrics.get("second_look", True) else ("local",)


def number(row: Row, sign: str = "") -> str:
    """Format a value and its interval as `0.801 (0.780-0.822)`, or n/a."""
    if row["value"] is None:
        return "n/a"
    if row["interval"] is None:
        return f"{row['value']:{sign}.3f} (no interval)"
    low, high = row["interval"]
    between = " to " if sign else "-"
    return f"{row['value']:{sign}.3f} ({low:{sign}.3f}{between}{high:{sign}.3f})"

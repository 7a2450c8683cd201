"""What the report shows of calibration, predictive values, decision curves and groups, from `metrics.json`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluation.metrics import Numbers
from training.report.panels import AXES

CALIBRATION = ("calibration_slope", "calibration_intercept", "calibration_error")
BEFORE = "_uncalibrated"
BELOW = 0.25  # part of the upper end of an axis that is drawn below 0

Row = Mapping[str, Any]


@dataclass(frozen=True)
class DecisionPanel:
    """The decision curve of one finding.

    Attributes
    ----------
    lines
        `fusion` and `all` to points in per cent from the upper left of the frame.
    zero
        Height of net benefit 0, in per cent from the top.
    end
        Net benefit at the top.
    """

    label: str
    note: str
    lines: Mapping[str, str]
    zero: float
    end: float


def decision_tables(metrics: Row) -> dict[str, Any]:
    """Return the variables of the templates `calibration.jinja` to `group_rates.jinja`; empty without such entries."""
    return {
        "calibration_rows": calibration_rows(metrics.get("metrics", [])),
        "predictive": predictive(metrics.get("predictive_values", [])),
        "decisions": decisions(metrics.get("decision_curves", [])),
        "rates": rates(metrics.get("group_rates", [])),
    }


def calibration_rows(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, Row]]]:
    """Index the measures of calibration of the fusion branch by split, label and name."""
    table: dict[str, dict[str, dict[str, Row]]] = {}
    for row in rows:
        if row["branch"] == "fusion" and row["name"].removesuffix(BEFORE) in CALIBRATION:
            table.setdefault(row["split"], {}).setdefault(row["label"], {})[row["name"]] = row
    return table


def predictive(rows: Iterable[Row]) -> dict[str, dict[tuple[str, str], dict[str, Row]]]:
    """Index predictive values by split, then label and basis, then name."""
    table: dict[str, dict[tuple[str, str], dict[str, Row]]] = {}
    for row in rows:
        table.setdefault(row["split"], {}).setdefault((row["label"], row["basis"]), {})[row["name"]] = row
    return table


def decisions(rows: Iterable[Row]) -> dict[str, list[DecisionPanel]]:
    """Draw the decision curves of every split."""
    panels: dict[str, list[DecisionPanel]] = {}
    for row in rows:
        panels.setdefault(row["split"], []).append(panel(row))
    return panels


def panel(row: Row) -> DecisionPanel:
    """Draw one decision curve, cut off below a quarter of the axis under 0."""
    curves = {"fusion": row["net_benefit"], "all": row["treat_all"]}
    top = max(max(values) for values in curves.values())
    end = next(end for end in (0.01, 0.02, *AXES) if end >= top)
    across = np.array(row["thresholds"]) / max(row["thresholds"])
    lines = {name: path(across, (np.array(values) / end + BELOW) / (1 + BELOW)) for name, values in curves.items()}
    note = f"{row['positives']} of {row['images']}"
    return DecisionPanel(row["label"], note, lines, 100 / (1 + BELOW), end)


def path(across: Numbers, up: Numbers) -> str:
    """Format points `[n]` in [0, 1], without those below the frame, as an SVG polyline in a square of 100."""
    inside = up >= 0
    return " ".join(f"{100 * x:.4g},{100 * (1 - y):.4g}" for x, y in zip(across[inside], up[inside], strict=True))


def rates(rows: Iterable[Row]) -> dict[str, dict[str, dict[tuple[str, str], dict[str, Row]]]]:
    """Index sensitivity and specificity in groups by split, label, factor and group, and name."""
    table: dict[str, dict[str, dict[tuple[str, str], dict[str, Row]]]] = {}
    for row in rows:
        groups = table.setdefault(row["split"], {}).setdefault(row["label"], {})
        groups.setdefault((row["by"], row["group"]), {})[row["name"]] = row
    return table

"""Patient flow, Table 1 and failures in the form that the report's templates show."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.report.flow_chart import WIDTH, chart

Row = Mapping[str, Any]

FACTORS = {"sex": "patients", "view": "images", "collection": "images"}  # factor of Table 1 to what is counted


def study_tables(metrics: Row, labels: Sequence[str]) -> dict[str, Any]:
    """Return the variables of the templates for the sections that `metrics.json` has."""
    listed = metrics.get("failures", [])
    points = dict(zip(labels, metrics.get("operating_points", []), strict=False))
    return {
        "chart": chart(metrics["flow"]) if "flow" in metrics else None,
        "box_width": WIDTH,
        "factors": factors(metrics.get("characteristics", [])),
        "failed": by_finding(listed),
        "failure_split": metrics.get("failures_of", "test"),
        "thresholds": {label: point["threshold"] for label, point in points.items() if point},
    }


def factors(rows: Iterable[Row]) -> list[tuple[str, str, list[str]]]:
    """Return factor, what is counted, and the groups of any split; a factor that no image has is left out."""
    rows = list(rows)
    named = [
        (factor, whole, list(dict.fromkeys(name for row in rows for name in row[factor])))
        for factor, whole in FACTORS.items()
    ]
    return [each for each in named if each[2] not in ([], ["unknown"])]


def by_finding(rows: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    """Index the failures by label and by what the image is labelled."""
    table: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        table.setdefault(row["label"], {}).setdefault(row["kind"], []).append(row)
    return table

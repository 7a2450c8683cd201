"""The report of one evaluation: a single HTML file that loads nothing from other hosts."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from service.artefact.card import NOTICE
from training.data.sample import Floats
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import BRANCHES, Predictions
from training.fit.overlay import overlay
from training.report.decision_tables import decision_tables
from training.report.panels import DRAWN_BRANCHES, plots

WITHIN = ", collection "  # between the names of a split and of a collection
SIDE = 512  # longest side of a picture, pixels
QUALITY = 85
LEADING = 5  # most probable findings under a picture

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """One radiograph of the test list with its prediction and its known findings.

    Attributes
    ----------
    image
        Name of the image.
    canvas
        `[1, S, S] float32 in [0, 1]`.
    heat_map
        `[h, w] float32 in [0, 1]`.
    box
        `[4] float32`, (x0, y0, x1, y1) in [0, 1] of the canvas.
    probabilities
        Label to the calibrated probability of the fusion branch.
    findings
        Labels that are present.
    """

    image: str
    canvas: Floats
    heat_map: Floats
    box: Floats
    probabilities: Mapping[str, float]
    findings: tuple[str, ...]


def render(metrics: Row, test: Predictions, calibration: Calibration, pictures: Sequence[Picture]) -> str:
    """Render the scores, the curves of the test list, and some of its radiographs.

    Parameters
    ----------
    metrics
        Content of `metrics.json`; optionally with `network`, `commit` and `training_data` of `run.json`.
    test
        Predictions of the split "test" of `metrics`.
    """
    environment = Environment(
        loader=PackageLoader("training.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in (number, span, signed, verdict, words, jpeg)}
    splits = unique(row["split"] for row in metrics["metrics"])
    relevant = [split for split in splits if WITHIN in split] or splits
    test_splits = sorted(
        (split for split in splits if split.startswith("test")), key=lambda split: split not in relevant
    )
    return environment.get_template("report.html.jinja").render(
        notice=NOTICE,
        labels=test.labels,
        metrics=metrics,
        splits=splits,
        relevant=relevant,
        test_splits=test_splits,
        branches=[*BRANCHES, *unique(row["branch"] for row in metrics.get("compared", []))],
        cells=cells([*metrics["metrics"], *metrics.get("compared", [])]),
        gains=gains(metrics.get("differences", [])),
        plots={split: plots(images_of(test, split), calibration) for split in test_splits},
        test_rates={(row["source"], row["label"]): row for row in metrics["operating_points_on_test"]},
        groups=groups(metrics.get("subgroups", [])),
        overlaps=overlaps(metrics.get("localisation", [])),
        **decision_tables(metrics),
        pictures=[(picture, leading(picture)) for picture in pictures],
    )


def cells(rows: Iterable[Row]) -> dict[tuple[str, str, str, str], Row]:
    """Index the rows by split, branch, label and name."""
    return {(row["split"], row["branch"], row["label"], row["name"]): row for row in rows}


def gains(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    """Index the differences in AUROC, fusion minus global, by finding and split."""
    table: dict[str, dict[str, Row]] = {}
    for row in rows:
        if (row["name"], row["branch"], row["against"]) == ("auroc", *DRAWN_BRANCHES) and row["label"] != "macro":
            table.setdefault(row["label"], {})[row["split"]] = row
    return table


def groups(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, Row]]:
    """Index the macro AUROC by factor and group, and by split."""
    table: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if (row["name"], row["label"]) == ("auroc", "macro"):
            table.setdefault((row["by"], row["group"]), {})[row["split"]] = row
    return table


def overlaps(rows: Iterable[Row]) -> dict[tuple[str, str, str], dict[str, dict[str, Row]]]:
    """Index localisation by split, label and number of boxes; then by measure; then by attention or control."""
    tables: dict[tuple[str, str, str], dict[str, dict[str, Row]]] = {}
    names = {"iou": "IoU", "iobb": "IoBB", "pointing": "pointing game"}
    for row in rows:
        key = row["split"], row["label"], f"{row['boxes']} boxes, {row['images']} images"
        measure = names[row["measure"]] if row["at"] is None else f"{names[row['measure']]} > {row['at']:g}"
        tables.setdefault(key, {}).setdefault(measure, {})[row["by"]] = row
    return tables


def images_of(test: Predictions, split: str) -> Predictions:
    """Return the images of a split, by its name."""
    return test.within(split.split(WITHIN)[1]) if WITHIN in split else test


def leading(picture: Picture) -> list[tuple[str, float]]:
    """Return the most probable findings and those that are present, sorted by falling probability."""
    ranked = sorted(picture.probabilities.items(), key=lambda pair: -pair[1])
    return [pair for place, pair in enumerate(ranked) if place < LEADING or pair[0] in picture.findings]


def jpeg(picture: Picture) -> str:
    """Return a data URI of the overlay."""
    image = Image.fromarray(overlay(picture.canvas, picture.heat_map, picture.box))
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def span(interval: Sequence[float] | None, form: str = ".3f") -> str:
    """Format an interval in brackets; nothing if there is none."""
    return f"({interval[0]:{form}} to {interval[1]:{form}})" if interval else ""


def number(value: float | None) -> str:
    """Format with three decimals; n/a if undefined."""
    return "n/a" if value is None else f"{value:.3f}"


def signed(row: Row) -> str:
    """Format a difference with its sign and its interval."""
    if row["value"] is None:
        return "n/a"
    return f"{row['value']:+.3f} {span(row['interval'], '+.3f')}".strip().replace("-", "−")


def verdict(row: Row) -> str:
    """Describe a paired difference by its interval."""
    if row["value"] is None or row["interval"] is None:
        return "undefined"
    low, high = row["interval"]
    if low > 0:
        return f"{row['branch']} scores higher"
    return f"{row['branch']} scores lower" if high < 0 else "no difference shown"


def words(label: str) -> str:
    """Format a label for reading."""
    return label.replace("_", " ")


def unique(names: Iterable[str]) -> list[str]:
    """Return the distinct names in order of first occurrence."""
    return list(dict.fromkeys(names))

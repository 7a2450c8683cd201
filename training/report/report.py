"""The report of one evaluation: a single HTML file that asks no other host for anything."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from model.labels import LABELS
from training.data.sample import Floats
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import BRANCHES, Predictions
from training.fit.overlay import overlay
from training.report.panels import DRAWN, plots

NOTICE = "Research use only. Not a medical device."
WITHIN = ", collection "  # between a split's name and a collection's
SIDE = 512  # of a picture, pixels
QUALITY = 85
LEADING = 5  # findings under a picture

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """One radiograph of the test list, what the network made of it and what is known of it.

    Attributes
    ----------
    image
        Its name.
    canvas
        [1, S, S] float32 in [0, 1].
    heat_map
        [h, w] float32 in [0, 1].
    box
        [4] float32, (x0, y0, x1, y1) in [0, 1] of the canvas.
    probabilities
        Of the fusion branch, calibrated, by label.
    findings
        Labels that are present.
    """

    image: str
    canvas: Floats
    heat_map: Floats
    box: Floats
    probabilities: Mapping[str, float]
    findings: tuple[str, ...]


def html(found: Row, test: Predictions, calibration: Calibration, pictures: Sequence[Picture]) -> str:
    """Render what `metrics.json` holds, the curves of the test list, and some of its radiographs.

    Parameters
    ----------
    found
        `metrics.json`'s content; with `network`, `commit` and `training_data` of the run's document where they are
        to be named.
    test
        The predictions that `found` scores as "test".
    """
    room = Environment(
        loader=PackageLoader("training.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters |= {one.__name__: one for one in (number, span, signed, verdict, words, jpeg)}
    splits = unique(row["split"] for row in found["metrics"])
    counts = [split for split in splits if WITHIN in split] or splits
    judged = sorted((split for split in splits if split.startswith("test")), key=lambda split: split not in counts)
    return room.get_template("report.html.jinja").render(
        notice=NOTICE,
        labels=LABELS,
        found=found,
        splits=splits,
        counts=counts,
        judged=judged,
        branches=[*BRANCHES, *unique(row["branch"] for row in found.get("compared", []))],
        cells=cells([*found["metrics"], *found.get("compared", [])]),
        gains=gains(found.get("differences", [])),
        plots={split: plots(images_of(test, split), calibration) for split in judged},
        fates={(row["source"], row["label"]): row for row in found["operating_points_on_test"]},
        groups=groups(found.get("subgroups", [])),
        places=places(found.get("localisation", [])),
        pictures=[(picture, leading(picture)) for picture in pictures],
    )


def cells(rows: Iterable[Row]) -> dict[tuple[str, str, str, str], Row]:
    """Every row by split, branch, label and name."""
    return {(row["split"], row["branch"], row["label"], row["name"]): row for row in rows}


def gains(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    """What fusion adds to the global branch's AUROC, by finding; then by split."""
    table: dict[str, dict[str, Row]] = {}
    for row in rows:
        if (row["name"], row["branch"], row["against"]) == ("auroc", *DRAWN) and row["label"] != "macro":
            table.setdefault(row["label"], {})[row["split"]] = row
    return table


def groups(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, Row]]:
    """Macro AUROC by what groups and by group; then by split."""
    table: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if (row["name"], row["label"]) == ("auroc", "macro"):
            table.setdefault((row["by"], row["group"]), {})[row["split"]] = row
    return table


def places(rows: Iterable[Row]) -> dict[tuple[str, str, str], dict[str, dict[str, Row]]]:
    """Localisation by split, label and what it rests on; then by measure; then by who placed the box."""
    tables: dict[tuple[str, str, str], dict[str, dict[str, Row]]] = {}
    names = {"iou": "IoU", "iobb": "IoBB", "pointing": "pointing game"}
    for row in rows:
        place = row["split"], row["label"], f"{row['boxes']} boxes, {row['images']} images"
        measure = names[row["measure"]] if row["at"] is None else f"{names[row['measure']]} > {row['at']:g}"
        tables.setdefault(place, {}).setdefault(measure, {})[row["by"]] = row
    return tables


def images_of(test: Predictions, split: str) -> Predictions:
    """The images that a split's name tells of."""
    return test.within(split.split(WITHIN)[1]) if WITHIN in split else test


def leading(picture: Picture) -> list[tuple[str, float]]:
    """The most probable findings, and those that are present, the most probable first."""
    ranked = sorted(picture.probabilities.items(), key=lambda pair: -pair[1])
    return [pair for place, pair in enumerate(ranked) if place < LEADING or pair[0] in picture.findings]


def jpeg(picture: Picture) -> str:
    """A data URI of the overlay."""
    image = Image.fromarray(overlay(picture.canvas, picture.heat_map, picture.box))
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def span(interval: Sequence[float] | None, form: str = ".3f") -> str:
    """An interval in brackets; nothing where there is none."""
    return f"({interval[0]:{form}} to {interval[1]:{form}})" if interval else ""


def number(value: float | None) -> str:
    """Three decimals; n/a where it is not defined."""
    return "n/a" if value is None else f"{value:.3f}"


def signed(row: Row) -> str:
    """A difference with its sign and its interval."""
    if row["value"] is None:
        return "n/a"
    return f"{row['value']:+.3f} {span(row['interval'], '+.3f')}".strip().replace("-", "−")


def verdict(row: Row) -> str:
    """What the interval of a paired difference allows to be said."""
    if row["value"] is None or row["interval"] is None:
        return "cannot be told"
    low, high = row["interval"]
    if low > 0:
        return f"{row['branch']} scores higher"
    return f"{row['branch']} scores lower" if high < 0 else "no difference shown"


def words(label: str) -> str:
    """A label as it is read."""
    return label.replace("_", " ")


def unique(names: Iterable[str]) -> list[str]:
    """In the order of first sight."""
    return list(dict.fromkeys(names))

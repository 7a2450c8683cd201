"""From a record to what draws its pictures, and to what its objects are made of (README: One request)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from service.errors import NotFound
from service.objects import overlay
from service.objects.report import Network, Report
from service.storage.record import Record
from service.triage.rule import Finding


@dataclass(frozen=True)
class Drawing:
    """A picture of a record.

    Attributes
    ----------
    width
        Pixels; None is the image's own.
    finding
        Whose class map the overlay shows; None is the heat map.
    box, alpha, colormap
        Of the overlay.
    """

    part: Literal["overlay", "image", "heat_map", "crop"] = "overlay"
    width: int | None = None
    finding: str | None = None
    box: bool = True
    alpha: float = 0.4
    colormap: overlay.Colormap = "viridis"


def draw(record: Record, drawing: Drawing) -> Callable[[npt.NDArray[np.uint8]], bytes]:
    """What draws a view, [H, W] uint8; `reporting`'s own functions, so that a process that draws loads no network."""
    x0, y0, x1, y1 = record.body["box"]
    box, heat, caption = (x0, y0, x1, y1), record.heat_map, "Attention"
    left, top, right, bottom = record.body["content"]
    lies = (left, top, right, bottom)
    if drawing.part == "image":
        return partial(overlay.image_png, width=drawing.width)
    if drawing.part == "crop":
        return partial(overlay.crop_png, box=box, width=drawing.width)
    if drawing.part == "heat_map":
        return partial(overlay.heat_map_png, heat, width=drawing.width, content=lies)
    if drawing.finding is not None:
        heat, caption = overlay.relative(_class_map(record, drawing.finding)), drawing.finding
    options = overlay.Options(drawing.alpha, drawing.colormap, drawing.width, caption)
    shown = box if drawing.box else None
    return partial(overlay.overlay_png, heat=heat, box=shown, options=options, content=lies)


def _class_map(record: Record, finding: str) -> npt.NDArray[np.float32]:
    labels = [one["label"] for one in record.body["findings"]]
    if finding not in labels:
        raise NotFound(f"no such finding; there are {', '.join(labels)}", "unknown_finding")
    class_map: npt.NDArray[np.float32] = record.class_maps[labels.index(finding)]
    return class_map


def report(record: Record) -> Report:
    """Tell a record as `reporting` knows an answer."""
    body = record.body
    left, top, right, bottom = body["content"]
    x0, y0, x1, y1 = body["box"]
    return Report(
        id=record.id,
        created=record.created,
        findings=tuple(_finding(finding) for finding in body["findings"]),
        priority=record.priority,
        reason=tuple(body["reason"]),
        flags=tuple(body["flags"]),
        box=(x0, y0, x1, y1),
        network=Network(**body["model"]),
        heat_map=record.heat_map,
        class_maps=record.class_maps,
        content=(left, top, right, bottom),
    )


def _finding(told: dict[str, Any]) -> Finding:
    names = {"global": "global_"}
    return Finding(**{names.get(name, name): value for name, value in told.items()})

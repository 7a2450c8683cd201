"""The pictures of a record, and the function that draws each of them."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.errors import NotFound
from service.objects import overlay
from service.objects.colormap import Colormap
from service.storage.record import Record


@dataclass(frozen=True)
class Drawing:
    """A picture to draw, and its options.

    Attributes
    ----------
    width
        Width in pixels; None is the width of the radiograph.
    map
        Whether the overlay shows the class map of a finding or the heat map.
    finding
        Label whose class map the overlay shows; None for that of `Prediction.leading`, and no map where nothing is
        positive.
    box
        Whether the overlay has the box; None for `Prediction.emphasises_box`.
    alpha, colormap
        Opacity and colours of the overlay's map.
    """

    part: Literal["overlay", "image", "heat_map", "crop"] = "overlay"
    width: int | None = None
    map: Literal["finding", "heat_map"] = "finding"
    finding: str | None = None
    box: bool | None = None
    alpha: float = 0.6
    colormap: Colormap = "viridis"


@dataclass(frozen=True)
class Attention:
    """What an overlay shows of a prediction, as arguments of `overlay.overlay`; `caption` says so in ASCII."""

    heat: npt.NDArray[np.float32] | None
    box: overlay.Box | None
    caption: str


def attention(record: Record, drawing: Drawing = Drawing()) -> Attention:
    """Choose the map and the box of an overlay; a map scaled to its own maximum has at most half of the opacity.

    Raises
    ------
    NotFound
        `unknown_finding`
    """
    prediction = record.prediction
    box = prediction.box if drawing.box or (drawing.box is None and prediction.emphasises_box) else None
    if drawing.map == "heat_map":
        return Attention(
            record.heat_map * np.float32(0.5), box, _caption(record, "Overall attention, scaled to its own maximum")
        )
    label = drawing.finding
    if label is None:
        if prediction.leading is None:
            return Attention(None, box, "No finding at or above its operating point")
        label = prediction.leading.label
    index = _index(record, label)
    reference = prediction.findings[index].map_reference
    scale = "" if reference is not None else ", scaled to its own maximum"
    return Attention(
        overlay.scaled(record.class_maps[index], reference), box, _caption(record, f"Map of {_ascii(label)}{scale}")
    )


def draw(record: Record, drawing: Drawing) -> Callable[[npt.NDArray[np.uint8]], bytes]:
    """Return the function that draws a PNG over display values, [H, W] uint8.

    It is a function of `overlay` with its arguments, so that the decoder process that calls it imports little else.

    Raises
    ------
    NotFound
        `unknown_finding`
    """
    content = record.prediction.content
    if drawing.part == "image":
        return partial(overlay.image_png, width=drawing.width)
    if drawing.part == "crop":
        return partial(overlay.crop_png, box=record.prediction.box, width=drawing.width)
    if drawing.part == "heat_map":
        return partial(overlay.heat_map_png, record.heat_map, width=drawing.width, content=content)
    shown = attention(record, drawing)
    options = overlay.Options(drawing.alpha, drawing.colormap, drawing.width, shown.caption)
    return partial(overlay.overlay_png, heat=shown.heat, box=shown.box, options=options, content=content)


def _caption(record: Record, text: str) -> str:
    rows, columns = record.heat_map.shape
    return f"{text}, {columns} x {rows} cells, not an outline of disease"


def _ascii(label: str) -> str:
    """Return a label in the letters that the overlay's font has, or other words for it."""
    return unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().strip() or "Finding"


def _index(record: Record, label: str) -> int:
    labels = [finding.label for finding in record.prediction.findings]
    evaluated = [finding.label for finding in record.prediction.evaluated]
    if label not in evaluated:
        raise NotFound(f"no such finding; the labels are {', '.join(evaluated)}", "unknown_finding")
    return labels.index(label)

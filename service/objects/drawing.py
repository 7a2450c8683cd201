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
    finding
        Label whose class map the overlay shows; None shows the heat map.
    box, alpha, colormap
        Whether the overlay has the box, and opacity and colours of its map.
    """

    part: Literal["overlay", "image", "heat_map", "crop"] = "overlay"
    width: int | None = None
    finding: str | None = None
    box: bool = True
    alpha: float = 0.4
    colormap: Colormap = "viridis"


def draw(record: Record, drawing: Drawing) -> Callable[[npt.NDArray[np.uint8]], bytes]:
    """Return the function that draws a PNG over display values, [H, W] uint8.

    It is a function of `overlay` with its arguments, so that the decoder process that calls it imports little else.

    Raises
    ------
    NotFound
        `unknown_finding`
    """
    box, content = record.prediction.box, record.prediction.content
    if drawing.part == "image":
        return partial(overlay.image_png, width=drawing.width)
    if drawing.part == "crop":
        return partial(overlay.crop_png, box=box, width=drawing.width)
    if drawing.part == "heat_map":
        return partial(overlay.heat_map_png, record.heat_map, width=drawing.width, content=content)
    heat, caption = record.heat_map, "Attention"
    if drawing.finding is not None:
        heat, caption = overlay.relative(_class_map(record, drawing.finding)), _ascii(drawing.finding)
    options = overlay.Options(drawing.alpha, drawing.colormap, drawing.width, caption)
    return partial(overlay.overlay_png, heat=heat, box=box if drawing.box else None, options=options, content=content)


def _ascii(label: str) -> str:
    """Return a label in the letters that the overlay's font has, or other words for it."""
    return unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().strip() or "Finding"


def _class_map(record: Record, label: str) -> npt.NDArray[np.float32]:
    labels = [finding.label for finding in record.prediction.findings]
    evaluated = [finding.label for finding in record.prediction.evaluated]
    if label not in evaluated:
        raise NotFound(f"no such finding; the labels are {', '.join(evaluated)}", "unknown_finding")
    class_map: npt.NDArray[np.float32] = record.class_maps[labels.index(label)]
    return class_map

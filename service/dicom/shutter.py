"""The display shutter: shapes outside which an image is shown black, PS3.3 C.7.6.11."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset

from service.dicom.elements import integer, numbers, texts
from service.errors import MalformedDicom

Visible = NDArray[np.bool_]  # [H, W], or what broadcasts to it

_MAX_VERTICES = 1024
_FAR = 2**20  # pixels; Pillow counts in 32 bits
_KEYWORDS = {
    "RECTANGULAR": (
        "ShutterLeftVerticalEdge",
        "ShutterRightVerticalEdge",
        "ShutterUpperHorizontalEdge",
        "ShutterLowerHorizontalEdge",
    ),
    "CIRCULAR": ("CenterOfCircularShutter", "RadiusOfCircularShutter"),
    "POLYGONAL": ("VerticesOfThePolygonalShutter",),
}


@dataclass(frozen=True, eq=False)
class Shutter:
    """A shutter that covers a part of an image.

    Attributes
    ----------
    covered
        [H, W] bool, whether a pixel is outside any of the shapes.
    shapes
        The shapes, in the words of ShutterShape.
    elements
        Whole numbers by keyword: the elements that define the shapes.
    """

    covered: NDArray[np.bool_]
    shapes: tuple[str, ...]
    elements: dict[str, list[int]]


def shutter(dataset: Dataset, aspect: float) -> tuple[Shutter | None, tuple[str, ...]]:
    """Read the shutter of an image, and its flags `display_shutter` and `display_shutter_unusable`.

    A shape that is incomplete, or leaves nothing of the image, is ignored with a flag.

    Parameters
    ----------
    aspect
        Height over width of a pixel: a radius counts pixels along a row.

    Returns
    -------
    The shutter, or None where no pixel is covered; and the flags.
    """
    stated = _stated(dataset)
    if not stated:
        return None, ()
    height, width = integer(dataset, "Rows"), integer(dataset, "Columns")
    visible, shapes = np.ones((height, width), np.bool_), []
    for shape in stated:
        opening = _opening(dataset, shape, aspect)
        if opening is not None and (visible & opening).any():
            visible &= opening
            shapes.append(shape)
    unusable = () if len(shapes) == len(stated) else ("display_shutter_unusable",)
    if visible.all():
        return None, unusable
    elements = {key: [round(value) for value in numbers(dataset, key)] for shape in shapes for key in _KEYWORDS[shape]}
    return Shutter(~visible, tuple(shapes), elements), ("display_shutter", *unusable)


def _stated(dataset: Dataset) -> tuple[str, ...]:
    """The shapes that the file names, each once."""
    try:
        return tuple(dict.fromkeys(filter(None, (shape.upper() for shape in texts(dataset, "ShutterShape")))))
    except MalformedDicom:
        return ("",)


def _opening(dataset: Dataset, shape: str, aspect: float) -> Visible | None:
    """What a shape leaves visible; None where it cannot be used. A bitmap exists in presentation states alone."""
    if shape not in _OPENINGS:
        return None
    try:
        values = [numbers(dataset, keyword) for keyword in _KEYWORDS[shape]]
    except MalformedDicom:
        return None
    return _OPENINGS[shape]((integer(dataset, "Rows"), integer(dataset, "Columns")), values, aspect)


def _rectangle(size: tuple[int, int], values: list[tuple[float, ...]], _: float) -> Visible | None:
    if any(len(value) != 1 for value in values):
        return None
    (left,), (right,), (upper,), (lower,) = values
    rows, columns = (1 + np.arange(length) for length in size)  # PS3.3 C.7.6.11: counted from 1
    return ((rows >= upper) & (rows <= lower))[:, np.newaxis] & ((columns >= left) & (columns <= right))


def _circle(size: tuple[int, int], values: list[tuple[float, ...]], aspect: float) -> Visible | None:
    centre, radius = values
    if len(centre) != 2 or len(radius) != 1 or radius[0] <= 0:
        return None
    down, across = (1 + np.arange(length) - middle for length, middle in zip(size, centre, strict=True))
    chord = radius[0] ** 2 - (down * aspect) ** 2  # the square of half of it; below 0 the row misses the circle
    return across**2 <= chord[:, np.newaxis]


def _polygon(size: tuple[int, int], values: list[tuple[float, ...]], _: float) -> Visible | None:
    (vertices,) = values
    if len(vertices) % 2 or not 3 <= len(vertices) // 2 <= _MAX_VERTICES or max(map(abs, vertices)) > _FAR:
        return None
    points = [(column - 1, row - 1) for row, column in zip(vertices[::2], vertices[1::2], strict=True)]
    picture = Image.new("L", size[::-1])
    ImageDraw.Draw(picture).polygon(points, fill=1, outline=1)
    return np.asarray(picture, np.bool_)


_OPENINGS: dict[str, Callable[[tuple[int, int], list[tuple[float, ...]], float], Visible | None]] = {
    "RECTANGULAR": _rectangle,
    "CIRCULAR": _circle,
    "POLYGONAL": _polygon,
}

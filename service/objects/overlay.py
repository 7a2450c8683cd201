"""Pictures of one radiograph: where the network looked, drawn over it.

The map has one opacity wherever it is drawn, set by the reader, and the background, what is under a third of its range,
is clear. An opacity that follows the value would hide the radiograph most where the reader must see it, and DICOM's
presentation states could not hold it.
"""

import io
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from service.errors import InvalidRequest

Colormap = Literal["viridis", "inferno", "turbo"]
Box = tuple[int, int, int, int]
Content = tuple[float, float, float, float]

NOTICE = "Research use only. Not a medical device."
MAX_PIXELS = 64 * 2**20  # of a picture larger than its view
BACKGROUND = 1 / 3  # of the map's range, not drawn; the colours span the rest
WHOLE = (0.0, 0.0, 1.0, 1.0)
_ANCHORS: dict[Colormap, str] = {  # evenly spaced, linear between them
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "turbo": "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3b d1e834 f3c63a fe9b2d f36315 d93806 b11901 7a0403",
}
_BOX_COLOUR = (255, 255, 255)
_HALO = (0, 0, 0)


@dataclass(frozen=True)
class Options:
    """How an overlay is drawn.

    Attributes
    ----------
    alpha
        Opacity of the map, [0, 1].
    colormap
        `viridis` (the default) and `inferno` rise in lightness and are safe for the colour-blind; `turbo` is not.
    width
        Of the picture in pixels, height in proportion; None is the view's own.
    caption
        What the map shows, written above the colour bar, ASCII.

    Raises
    ------
    InvalidRequest
    """

    alpha: float = 0.4
    colormap: Colormap = "viridis"
    width: int | None = None
    caption: str = "Attention"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InvalidRequest("alpha: a number from 0 to 1 was wanted")
        if self.colormap not in _ANCHORS:
            raise InvalidRequest(f"colormap: one of {', '.join(_ANCHORS)} was wanted")


def overlay_png(
    view: npt.NDArray[np.uint8],
    heat: npt.NDArray[np.floating],
    box: Box | None,
    options: Options = Options(),
    content: Content = WHOLE,
) -> bytes:
    """Draw a map, a box (None: no box), a colour bar and the notice over a radiograph; an RGB PNG.

    Parameters
    ----------
    view
        [H, W] uint8 display values.
    heat
        [h, w] float in [0, 1]: the heat map, or `relative(class_map)`.
    box
        (x0, y0, x1, y1) pixels of the view, exclusive end.
    content
        Where on the map the view lies, (x0, y0, x1, y1) in [0, 1]: of a padded canvas only a part.

    Raises
    ------
    InvalidRequest
        The width asked for makes too large a picture.
    """
    grey = _resized(view, options.width)
    picture = _tinted(grey, upsampled(heat, grey.size, content), options)
    if box is not None:
        _draw_box(picture, box, (grey.width / view.shape[1], grey.height / view.shape[0]))
    _draw_legend(picture, options)
    return _png(picture)


def relative(class_map: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """[h, w] logit units -> [0, 1], min-max within this one map; flat -> all zero.

    So the colours compare places within a map, never one finding or one radiograph with another: class maps are not
    calibrated, and on one scale a rare finding's would be empty.
    """
    low, high = float(class_map.min()), float(class_map.max())
    if high <= low:
        return np.zeros(class_map.shape, np.float32)
    return ((class_map - low) / (high - low)).astype(np.float32)


def image_png(view: npt.NDArray[np.uint8], width: int | None = None) -> bytes:
    """The radiograph alone, 8-bit grey PNG."""
    return _png(_resized(view, width))


def heat_map_png(
    heat: npt.NDArray[np.floating],
    view: npt.NDArray[np.uint8],
    width: int | None = None,
    content: Content = WHOLE,
) -> bytes:
    """The map alone at the size of its picture, 16-bit grey PNG: value = 65535 x heat."""
    values = upsampled(heat, _size(view.shape[1], view.shape[0], width), content)
    return _png(Image.fromarray(np.rint(values * 65535).astype(np.uint16)))


def crop_png(view: npt.NDArray[np.uint8], box: Box, width: int | None = None) -> bytes:
    """What the local branch saw, cut from the view, 8-bit grey PNG."""
    x0, y0, x1, y1 = box
    return _png(_resized(view[y0:y1, x0:x1], width))


def _size(width: int, height: int, wanted: int | None) -> tuple[int, int]:
    """Width and height of the picture of a view."""
    if wanted is None:
        return width, height
    if wanted < 1:
        raise InvalidRequest("width: a positive number of pixels was wanted")
    size = wanted, max(1, round(height * wanted / width))
    if size[0] * size[1] > max(MAX_PIXELS, width * height):
        raise InvalidRequest(f"width: the picture would have more than {MAX_PIXELS} pixels")
    return size


def _resized(view: npt.NDArray[np.uint8], width: int | None) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(view))
    return image.resize(_size(image.width, image.height, width), Image.Resampling.BILINEAR)


def upsampled(heat: npt.NDArray[np.floating], size: tuple[int, int], content: Content) -> npt.NDArray[np.float32]:
    """[h, w] -> [height, width], bilinear with half-pixel centres: the surface that the region is found on."""
    rows, columns = heat.shape
    part = content[0] * columns, content[1] * rows, content[2] * columns, content[3] * rows
    image = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR, part)
    values: npt.NDArray[np.float32] = np.clip(np.asarray(image, np.float32), 0, 1)
    return values


def _tinted(grey: Image.Image, heat: npt.NDArray[np.float32], options: Options) -> Image.Image:
    levels = np.rint(np.maximum(heat - BACKGROUND, 0) * (255 / (1 - BACKGROUND))).astype(np.uint8)
    colours = Image.fromarray(_table(options.colormap)[levels])
    opacity = Image.fromarray(np.where(heat > BACKGROUND, np.uint8(round(options.alpha * 255)), np.uint8(0)))
    return Image.composite(colours, grey.convert("RGB"), opacity)


@cache
def _table(colormap: Colormap) -> npt.NDArray[np.uint8]:
    """Colour of each of 256 levels, [256, 3]."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in _ANCHORS[colormap].split()], np.float64)
    levels = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(levels, np.arange(len(anchors)), channel) for channel in anchors.T]
    table: npt.NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return table


def _draw_box(picture: Image.Image, box: Box, scale: tuple[float, float]) -> None:
    """A white line inside the box's edges, between two dark ones, so that it shows on bone and on air."""
    draw = ImageDraw.Draw(picture)
    line = max(2, round(picture.width / 450))
    x0, y0 = round(box[0] * scale[0]), round(box[1] * scale[1])
    x1, y1 = max(x0, round(box[2] * scale[0]) - 1), max(y0, round(box[3] * scale[1]) - 1)
    draw.rectangle((x0, y0, x1, y1), outline=_HALO, width=line + 2)
    if min(x1 - x0, y1 - y0) > 2:
        draw.rectangle((x0 + 1, y0 + 1, x1 - 1, y1 - 1), outline=_BOX_COLOUR, width=line)


def _draw_legend(picture: Image.Image, options: Options) -> None:
    """In the lower corners, under the lungs: left the notice, right the bar, and what it means where there is room."""
    line = max(10, round(min(picture.size) / 50))
    gap, bottom = line // 3, picture.height - line // 3
    notice = _text(NOTICE, line)
    _paste_text(picture, notice, (gap, bottom - notice.height))
    bar = _bar(options.colormap, (6 * line, line // 2))
    left = picture.width - gap - bar.width
    if left < gap + notice.width:
        return
    picture.paste(bar, (left, bottom - (notice.height + bar.height) // 2))
    caption = _text(f"{options.caption}, not an outline of disease", line)
    if (left := left - gap - caption.width) > 2 * gap + notice.width:
        _paste_text(picture, caption, (left, bottom - caption.height))


def _bar(colormap: Colormap, size: tuple[int, int]) -> Image.Image:
    """Every colour of the map, low to high from left to right."""
    return Image.fromarray(_table(colormap)[None]).resize(size)


@lru_cache(maxsize=16)
def _text(text: str, height: int) -> Image.Image:
    """A mask of white letters, drawn large and reduced: small fonts are spaced unevenly."""
    font = ImageFont.load_default(4 * 0.8 * height)
    mask = Image.new("L", (4 * (int(font.getlength(text) / 4) + 2), 4 * height))
    ImageDraw.Draw(mask).text((4, 2 * height), text, 255, font, anchor="lm")
    return mask.reduce(4)


def _paste_text(picture: Image.Image, text: Image.Image, place: tuple[int, int]) -> None:
    shade = Image.new("L", text.size, 140)
    picture.paste(_HALO, (*place, place[0] + text.width, place[1] + text.height), shade)
    picture.paste(_BOX_COLOUR, (*place, place[0] + text.width, place[1] + text.height), text)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # a third of the time of 6, a few per cent larger
    return file.getvalue()

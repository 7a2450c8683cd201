"""Pictures of a radiograph with the attention of the network drawn over it.

The map has one opacity, which the reader sets, and values below a third of its range are not drawn. An opacity that
follows the value would hide the radiograph most where the reader must see it, and a DICOM presentation state could not
hold it.
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from service.errors import InvalidRequest
from service.objects.colormap import COLORMAPS, Colormap, colour_table

Box = tuple[int, int, int, int]
Content = tuple[float, float, float, float]
Grey = npt.NDArray[np.uint8]
Map = npt.NDArray[np.floating]

NOTICE = "Research use only. Not a medical device."
MAX_PIXELS = 64 * 2**20  # limit of a picture that is larger than its radiograph
BACKGROUND = 1 / 3  # share of the map's range that is not drawn; the colours span the rest
_STRIP = 256  # rows that are coloured at a time, because colouring takes several times the memory of the picture
WHOLE = (0.0, 0.0, 1.0, 1.0)
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
        Width of the picture in pixels, height in proportion; None is the width of the view.
    caption
        What the map shows, ASCII; written beside the colour bar.

    Raises
    ------
    InvalidRequest
        `alpha` or `colormap` is not allowed.
    """

    alpha: float = 0.4
    colormap: Colormap = "viridis"
    width: int | None = None
    caption: str = "Attention"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InvalidRequest("alpha must be a number from 0 to 1")
        if self.colormap not in COLORMAPS:
            raise InvalidRequest(f"colormap must be one of {', '.join(COLORMAPS)}")


def overlay_png(
    view: Grey, heat: Map, box: Box | None, options: Options = Options(), content: Content = WHOLE
) -> bytes:
    """Draw an overlay as an RGB PNG; parameters and errors are those of `overlay`."""
    return _png(overlay(view, heat, box, options, content))


def overlay(view: Grey, heat: Map, box: Box | None, options: Options, content: Content) -> Image.Image:
    """Draw a map, a box (None: no box), a colour bar and the notice over a radiograph, in RGB.

    Parameters
    ----------
    view
        [H, W] uint8 display values, 0 black.
    heat
        [h, w] float in [0, 1]: the heat map, or `relative(class_map)`.
    box
        (x0, y0, x1, y1) in pixels of the view, exclusive end.
    content
        Part of the map that the view covers, (x0, y0, x1, y1) in [0, 1]; not all of a padded canvas.

    Raises
    ------
    InvalidRequest
        The picture would have more than `MAX_PIXELS` pixels.
    """
    grey = _resized(view, options.width)
    picture = _tinted(grey, upsampled(heat, grey.size, content), options)
    if box is not None:
        _draw_box(picture, box, (grey.width / view.shape[1], grey.height / view.shape[0]))
    _draw_legend(picture, options)
    return picture


def relative(class_map: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Scale [h, w] float in logit units to [h, w] float32 in [0, 1] by the map's own range; a flat map becomes 0.

    Colours then compare places within one map, not findings or radiographs: class maps are not calibrated, and on a
    common scale that of a rare finding would be empty.
    """
    low, high = float(class_map.min()), float(class_map.max())
    if high <= low:
        return np.zeros(class_map.shape, np.float32)
    return ((class_map - low) / (high - low)).astype(np.float32)


def image_png(view: npt.NDArray[np.uint8], width: int | None = None) -> bytes:
    """Draw the radiograph alone, [H, W] uint8, as an 8-bit greyscale PNG."""
    return _png(_resized(view, width))


def heat_map_png(
    heat: npt.NDArray[np.floating],
    view: npt.NDArray[np.uint8],
    width: int | None = None,
    content: Content = WHOLE,
) -> bytes:
    """Draw the map alone, [h, w] float in [0, 1], at the size of the picture of the view, [H, W] uint8.

    Returns
    -------
    A 16-bit greyscale PNG: value = 65535 x heat.
    """
    values = upsampled(heat, _size(view.shape[1], view.shape[0], width), content)
    return _png(Image.fromarray(np.rint(values * 65535).astype(np.uint16)))


def crop_png(view: npt.NDArray[np.uint8], box: Box, width: int | None = None) -> bytes:
    """Draw the part of the view, [H, W] uint8, within the box, as an 8-bit greyscale PNG."""
    x0, y0, x1, y1 = box
    return _png(_resized(view[y0:y1, x0:x1], width))


def _size(width: int, height: int, new_width: int | None) -> tuple[int, int]:
    """Width and height of the picture of a view."""
    if new_width is None:
        return width, height
    if new_width < 1:
        raise InvalidRequest("width must be a positive number of pixels")
    size = new_width, max(1, round(height * new_width / width))
    if size[0] * size[1] > max(MAX_PIXELS, width * height):
        raise InvalidRequest(f"width must give a picture of at most {MAX_PIXELS} pixels")
    return size


def _resized(view: npt.NDArray[np.uint8], width: int | None) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(view))
    return image.resize(_size(image.width, image.height, width), Image.Resampling.BILINEAR)


def upsampled(heat: npt.NDArray[np.floating], size: tuple[int, int], content: Content) -> npt.NDArray[np.float32]:
    """Resize a map, [h, w] float -> [H, W] float32 in [0, 1], bilinear with half-pixel centres, like the region.

    Parameters
    ----------
    size
        (W, H).
    content
        Part of the map that is resized, (x0, y0, x1, y1) in [0, 1].
    """
    rows, columns = heat.shape
    part = content[0] * columns, content[1] * rows, content[2] * columns, content[3] * rows
    image = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR, part)
    values: npt.NDArray[np.float32] = np.array(image, np.float32)
    return np.clip(values, 0, 1, out=values)


def _tinted(grey: Image.Image, heat: npt.NDArray[np.float32], options: Options) -> Image.Image:
    picture = grey.convert("RGB")
    for top in range(0, len(heat), _STRIP):
        strip = heat[top : top + _STRIP]
        levels = np.rint(np.maximum(strip - BACKGROUND, 0) * (255 / (1 - BACKGROUND))).astype(np.uint8)
        opacity = np.where(strip > BACKGROUND, np.uint8(round(options.alpha * 255)), np.uint8(0))
        picture.paste(Image.fromarray(colour_table(options.colormap)[levels]), (0, top), Image.fromarray(opacity))
    return picture


def _draw_box(picture: Image.Image, box: Box, scale: tuple[float, float]) -> None:
    """Draw a white line inside the box's edges between two dark ones, so that it is visible on bone and on air."""
    draw = ImageDraw.Draw(picture)
    line = max(2, round(picture.width / 450))
    x0, y0 = round(box[0] * scale[0]), round(box[1] * scale[1])
    x1, y1 = max(x0, round(box[2] * scale[0]) - 1), max(y0, round(box[3] * scale[1]) - 1)
    draw.rectangle((x0, y0, x1, y1), outline=_HALO, width=line + 2)
    if min(x1 - x0, y1 - y0) > 2:
        draw.rectangle((x0 + 1, y0 + 1, x1 - 1, y1 - 1), outline=_BOX_COLOUR, width=line)


def _draw_legend(picture: Image.Image, options: Options) -> None:
    """Draw the notice in the lower left corner, the colour bar in the lower right, and its caption if there is room."""
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
    """All colours of the map, low to high from left to right."""
    return Image.fromarray(colour_table(colormap)[None]).resize(size)


@lru_cache(maxsize=16)
def _text(text: str, height: int) -> Image.Image:
    """A mask of letters, drawn large and reduced, because small fonts are spaced unevenly."""
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
    image.save(file, "PNG", compress_level=1)  # takes a third of the time of level 6; files are a few per cent larger
    return file.getvalue()

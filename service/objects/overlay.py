"""Pictures of a radiograph with the attention of the network drawn over it.

The opacity of the map follows its value, so that a weak map looks weak and no edge is drawn.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from service.errors import InvalidRequest
from service.objects.colormap import COLORMAPS, Colormap, colour_table
from service.objects.legend import legend
from service.objects.resampling import WHOLE, Content, smoothed, upsampled

Box = tuple[int, int, int, int]
Grey = npt.NDArray[np.uint8]
Map = npt.NDArray[np.floating]

MAX_PIXELS = 64 * 2**20  # limit of a picture that is larger than its radiograph
SOFTNESS = 2.0  # logits; neighbouring cells differ by several (nih-subset, EfficientNet-Lite0), and a step would show
_STRIP = 256  # rows that are coloured at a time, because colouring takes several times the memory of the picture
_BOX_COLOUR = (255, 255, 255)
_HALO = (0, 0, 0)


@dataclass(frozen=True)
class Options:
    """How an overlay is drawn.

    Attributes
    ----------
    alpha
        Opacity where the map is 1, [0, 1]; in proportion below.
    colormap
        `viridis` (the default) and `inferno` rise in lightness and are safe for the colour-blind; `turbo` is not.
    width
        Width of the picture in pixels, height in proportion; None is the width of the view.
    caption
        What the picture shows, ASCII; written below the radiograph.

    Raises
    ------
    InvalidRequest
        `alpha` or `colormap` is not allowed.
    """

    alpha: float = 0.6
    colormap: Colormap = "viridis"
    width: int | None = None
    caption: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InvalidRequest("alpha must be a number from 0 to 1")
        if self.colormap not in COLORMAPS:
            raise InvalidRequest(f"colormap must be one of {', '.join(COLORMAPS)}")


def overlay_png(
    view: Grey, heat: Map | None, box: Box | None, options: Options = Options(), content: Content = WHOLE
) -> bytes:
    """Draw an overlay as an RGB PNG; parameters and errors are those of `overlay`."""
    return _png(overlay(view, heat, box, options, content))


def overlay(view: Grey, heat: Map | None, box: Box | None, options: Options, content: Content) -> Image.Image:
    """Draw a map and a box over a radiograph, and a legend with the notice below it, in RGB.

    Parameters
    ----------
    view
        [H, W] uint8 display values, 0 black.
    heat
        [h, w] float in [0, 1]: the heat map, or `scaled(class_map)`; None draws no map.
    box
        (x0, y0, x1, y1) in pixels of the view, exclusive end; None draws no box.
    content
        Part of the map that the view covers, (x0, y0, x1, y1) in [0, 1]; not all of a padded canvas.

    Raises
    ------
    InvalidRequest
        The picture would have more than `MAX_PIXELS` pixels.
    """
    grey = _resized(view, options.width)
    picture = grey.convert("RGB")
    if heat is not None:
        _tint(picture, smoothed(heat, grey.size, content), options)
    if box is not None:
        _draw_box(picture, box, (grey.width / view.shape[1], grey.height / view.shape[0]))
    below = legend(picture.size, options.caption, None if heat is None else options.colormap)
    whole = Image.new("RGB", (picture.width, picture.height + below.height))
    whole.paste(picture)
    whole.paste(below, (0, picture.height))
    return whole


def scaled(class_map: npt.NDArray[np.floating], reference: float | None) -> npt.NDArray[np.float32]:
    """Scale [h, w] float in logits to [h, w] float32 in [0, 1] about a fixed reference.

    Colours can then be compared between radiographs, and a map far below the reference is clear. The scale has no ends:
    those of rare findings would all be negative, and a map that is cut off at one has the outline of its cells.

    Parameters
    ----------
    reference
        Value in logits that becomes a half; None for the map's own maximum, and for none if the map is flat.
    """
    if reference is None and class_map.min() == class_map.max():
        return np.zeros(class_map.shape, np.float32)
    middle = float(class_map.max()) if reference is None else reference
    return (1 / (1 + np.exp((middle - class_map.astype(np.float64)) / SOFTNESS))).astype(np.float32)


def relative(class_map: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Scale [h, w] float in logits to [h, w] float32 in [0, 1] by the map's own range; a flat map becomes 0."""
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


def _tint(picture: Image.Image, heat: npt.NDArray[np.float32], options: Options) -> None:
    palette = colour_table(options.colormap).tobytes()
    for top in range(0, len(heat), _STRIP):
        strip = heat[top : top + _STRIP]
        levels = Image.fromarray(np.rint(strip * 255).astype(np.uint8))
        levels.putpalette(palette)
        opacity = np.rint(strip * (options.alpha * 255)).astype(np.uint8)
        picture.paste(levels.convert("RGB"), (0, top), Image.fromarray(opacity))


def _draw_box(picture: Image.Image, box: Box, scale: tuple[float, float]) -> None:
    """Draw a white line inside the box's edges between two dark ones, so that it is visible on bone and on air."""
    draw = ImageDraw.Draw(picture)
    line = max(2, round(picture.width / 450))
    x0, y0 = round(box[0] * scale[0]), round(box[1] * scale[1])
    x1, y1 = max(x0, round(box[2] * scale[0]) - 1), max(y0, round(box[3] * scale[1]) - 1)
    draw.rectangle((x0, y0, x1, y1), outline=_HALO, width=line + 2)
    if min(x1 - x0, y1 - y0) > 2:
        draw.rectangle((x0 + 1, y0 + 1, x1 - 1, y1 - 1), outline=_BOX_COLOUR, width=line)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # takes a third of the time of level 6; files are a few per cent larger
    return file.getvalue()

"""The legend below a picture: what its colours mean, and the notice. It covers nothing of the radiograph."""

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from service.objects.colormap import Colormap, colour_table

NOTICE = "Research use only. Not a medical device."  # that of the card, which the process that draws does not import
_INK = (255, 255, 255)
_GROUND = (0, 0, 0)


def legend(size: tuple[int, int], caption: str, colormap: Colormap | None) -> Image.Image:
    """Draw the caption, the colours and the notice, in RGB; as many lines as fit the width of the picture.

    Parameters
    ----------
    size
        (W, H) of the picture above it.
    caption
        ASCII; may be empty.
    colormap
        None for a picture without a map.
    """
    line = max(10, round(min(size) / 50))
    gap = line // 3
    room = max(1, size[0] - 2 * gap)
    parts = [_written(NOTICE, line, room)]
    if caption:
        parts.append(_written(caption, line, room))
    if colormap is not None:
        parts.append(_bar(colormap, line, room))
    rows = _rows(parts, room, 2 * line)
    picture = Image.new("RGB", (size[0], gap + len(rows) * (line + gap)), _GROUND)
    for number, row in enumerate(rows):
        left = gap
        for part in row:
            picture.paste(part, (left, gap + number * (line + gap)))
            left += part.width + 2 * line
    return picture


def _rows(parts: list[Image.Image], room: int, gap: int) -> list[list[Image.Image]]:
    """Break parts into rows, as words into lines."""
    rows: list[list[Image.Image]] = []
    used = 0
    for part in parts:
        if rows and used + gap + part.width <= room:
            rows[-1].append(part)
            used += gap + part.width
        else:
            rows.append([part])
            used = part.width
    return rows


def _bar(colormap: Colormap, line: int, room: int) -> Image.Image:
    """Draw the words weak and strong, and between them the colours over grey as opaque as they are in the picture."""
    weak, strong = (_written(word, line, room) for word in ("weak", "strong"))
    width = 6 * line
    levels = Image.linear_gradient("L").rotate(90).resize((width, line))
    colours = Image.fromarray(colour_table(colormap)[None]).resize((width, line))
    grey = Image.new("RGB", (width, line), (64, 64, 64))
    grey.paste(colours, (0, 0), levels)
    bar = Image.new("RGB", (weak.width + width + strong.width + line, line), _GROUND)
    bar.paste(weak, (0, 0))
    bar.paste(grey, (weak.width + line // 2, 0))
    bar.paste(strong, (weak.width + width + line, 0))
    return bar if bar.width <= room else bar.resize((room, line))


def _written(text: str, line: int, room: int) -> Image.Image:
    """Write a line of text, narrower where there is no room for it."""
    mask = _mask(text, line)
    picture = Image.new("RGB", mask.size, _GROUND)
    picture.paste(_INK, (0, 0), mask)
    return picture if picture.width <= room else picture.resize((room, line))


@lru_cache(maxsize=64)
def _mask(text: str, height: int) -> Image.Image:
    """Draw a mask of letters large and reduce it, because small fonts are spaced unevenly."""
    font = ImageFont.load_default(4 * 0.8 * height)
    mask = Image.new("L", (4 * (int(font.getlength(text) / 4) + 2), 4 * height))
    ImageDraw.Draw(mask).text((4, 2 * height), text, 255, font, anchor="lm")
    return mask.reduce(4)

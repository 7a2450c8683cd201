"""The patient flow as a drawing: boxes and arrows in pixels, from the entry `flow` of `metrics.json`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

WIDTH, GAP, RISE = 205, 18, 34  # of a box, between boxes, and between rows
LINE, MARGIN = 17, 10  # height of a line of text, and the space around the text of a box
LETTERS = 29  # of a line

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Box:
    """A box with its lines of text; the first is the heading."""

    x: int
    y: int
    lines: tuple[str, ...]
    kind: str = "kept"

    @property
    def height(self) -> int:
        """Height in pixels."""
        return LINE * len(self.lines) + 2 * MARGIN

    @property
    def top(self) -> tuple[int, int]:
        """The middle of the upper edge."""
        return self.x + WIDTH // 2, self.y

    @property
    def bottom(self) -> tuple[int, int]:
        """The middle of the lower edge."""
        return self.x + WIDTH // 2, self.y + self.height


@dataclass(frozen=True)
class Chart:
    """Boxes, and arrows (x0, y0, x1, y1) between them."""

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int, int, int], ...]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return max((box.x + WIDTH for box in self.boxes), default=0)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return max((box.bottom[1] for box in self.boxes), default=0)


def chart(flow: Row) -> Chart:
    """Lay out source, exclusions and splits of each folder, and below them what was done with the splits."""
    boxes, arrows, splits, y = list[Box](), list[tuple[int, int, int, int]](), dict[str, list[Box]](), 0
    for folder in flow["folders"]:
        source = Box(column(1), y, (folder["name"], *counted(folder["source"])))
        beside = [
            Box(column(2 + place), y, lines(row["reason"], row), "excluded")
            for place, row in enumerate(folder["excluded"])
        ]
        y = below([source, *beside])
        below_it = [Box(column(place), y, (row["split"], *counted(row))) for place, row in enumerate(folder["splits"])]
        y = below(below_it)
        arrows += [across(source, box) for box in beside] + [down(source, box) for box in below_it]
        boxes += [source, *beside, *below_it]
        known = dict(zip((row["split"] for row in folder["splits"]), below_it, strict=True))
        for split, box in known.items():
            if split in folder["used"]:
                splits.setdefault(split, []).append(box)
    last = [Box(column(place), y, used(row)) for place, row in enumerate(flow["uses"])]
    for row, box in zip(flow["uses"], last, strict=True):
        arrows += [down(upper, box) for split in row["splits"] for upper in splits.get(split, ())]
    return Chart((*boxes, *last), tuple(arrows))


def column(number: int) -> int:
    """Return the left edge of a column."""
    return number * (WIDTH + GAP)


def below(boxes: Sequence[Box]) -> int:
    """Return the upper edge of the next row."""
    return max(box.bottom[1] for box in boxes) + RISE


def down(upper: Box, lower: Box) -> tuple[int, int, int, int]:
    """Return an arrow from the lower edge of one box to the upper edge of another."""
    return (*upper.bottom, *lower.top)


def across(left: Box, right: Box) -> tuple[int, int, int, int]:
    """Return an arrow from the right edge of one box to the left edge of another."""
    return left.x + WIDTH, left.y + 2 * LINE, right.x, left.y + 2 * LINE


def counted(row: Row) -> Iterator[str]:
    """Yield lines with the numbers of images and patients."""
    yield f"{row['images']:,} images"
    yield f"{row['patients']:,} patients"


def lines(heading: str, row: Row) -> tuple[str, ...]:
    """Return the lines of a box of excluded images."""
    return ("excluded", *counted(row), *wrap(heading, LETTERS))


def used(row: Row) -> tuple[str, ...]:
    """Return the lines of a box of used images, with those of the collection and those that were left out."""
    left_out = [
        line
        for each in row["excluded"]
        for line in (f"without {each['images']:,} images:", *wrap(each["reason"], LETTERS))
    ]
    inside = row.get("within")
    within = (f"of which collection {inside['collection']}:", *counted(inside)) if inside else ()
    return (*wrap(row["use"], LETTERS - 4, break_on_hyphens=False), *counted(row), *within, *left_out)

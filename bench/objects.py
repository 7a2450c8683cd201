"""Seconds to make each DICOM object of a radiograph: `python -m bench.objects [--height 3000 --width 2500]`.

The objects are made as a decoder process makes them, all in this one process, from the bytes of an uncompressed 12-bit
file and a record with two positive findings. The first object of a kind also imports what its kind needs. Expected of
the others is a median of at most 0.5 s.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.page import HEIGHT, WIDTH, film
from bench.scores import table
from service.dicom.radiograph import display_values
from service.dicom.reader import read
from service.objects.kinds import DICOM_KINDS, Kind
from service.objects.render import render
from tests.service.objects.rendered import record

BAR = 0.5
BOX = (0.16, 0.2, 0.6, 0.73)  # share of width and height


@dataclass(frozen=True)
class Measured:
    """Seconds for the first object of a kind, the median of the later ones, and the size of the file in bytes."""

    kind: Kind
    first: float
    later: float
    size: int


def measure(kind: Kind, data: bytes, box: tuple[int, ...], repeats: int) -> Measured:
    """Make an object once, and then `repeats` times."""

    def view() -> NDArray[np.uint8]:
        return np.rint(display_values(data) * 255).astype(np.uint8)

    spent = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        made = render(read(data), view, kind, record(box=box))
        spent.append(time.perf_counter() - start)
    return Measured(kind, spent[0], statistics.median(spent[1:]), len(made))


def measurements(height: int, width: int, repeats: int) -> list[Measured]:
    """Measure every kind of DICOM object for a radiograph of a size."""
    data = film(0, height, width)
    box = tuple(round(share * side) for share, side in zip(BOX, (width, height, width, height), strict=True))
    return [measure(kind, data, box, repeats) for kind in DICOM_KINDS]


def main() -> None:
    """Print a table of all kinds, and what is slower than expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=HEIGHT)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    measured = measurements(options.height, options.width, options.repeats)
    head = [f"object of {options.height} × {options.width} pixels", "first", "later, median", "size"]
    rows = [
        [f"`{each.kind}`", f"{each.first:.2f} s", f"{each.later:.2f} s", f"{each.size / 2**20:.1f} MiB"]
        for each in measured
    ]
    print(table([head, *rows]))
    slow = ", ".join(each.kind for each in measured if each.later > BAR)
    print(f"\nslower than {BAR} s: {slow or 'none'}")


if __name__ == "__main__":
    main()

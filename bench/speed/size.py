"""How much each section measures: in full, or just enough to show that it works."""

from dataclasses import dataclass

SYNTAXES = ("uncompressed", "JPEG-LS", "JPEG 2000", "HTJ2K")
CLIENTS = (1, 2, 8)


@dataclass(frozen=True)
class Size:
    """Size of a run.

    Attributes
    ----------
    height, width
        Of the radiographs, in pixels.
    window
        Seconds that a rate is measured for.
    open_window
        Seconds of random arrivals at each load.
    files
        Files sent to the archives.
    repeats
        Images decoded with each decoder.
    starts
        Cold starts.
    requests
        Requests until the last measurement of memory.
    """

    name: str
    height: int
    width: int
    window: float
    open_window: float
    files: int
    repeats: int
    starts: int
    requests: int


FULL = Size("full", 3000, 2500, 12.0, 75.0, 120, 7, 5, 20_000)
SMALL = Size("small", 256, 256, 0.1, 0.5, 4, 1, 1, 40)
SIZES = {size.name: size for size in (FULL, SMALL)}

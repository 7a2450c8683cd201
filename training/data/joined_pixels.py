"""The canvases of several memory-mapped files as one array."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.canvas_file import Pixels, open_pixels


@dataclass(frozen=True)
class JoinedPixels:
    """Several arrays of canvases, the rows of each after those of the one before.

    Attributes
    ----------
    parts
        `[M, S, S] uint8` each, with the same S.
    """

    parts: tuple[Pixels, ...]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First row of each part, and after the last: `[P + 1] int64`."""
        return np.cumsum([0, *map(len, self.parts)])

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, S, S) of all parts together."""
        return int(self.starts[-1]), *self.parts[0].shape[1:]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | NDArray[np.int64]) -> Pixels:
        """Return the canvas of a row, `[S, S] uint8`, or of rows `[B]`, `[B, S, S] uint8`."""
        chosen = np.atleast_1d(rows)
        values = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        owner = np.searchsorted(self.starts, chosen, "right") - 1
        for number in np.unique(owner):
            here = owner == number
            values[here] = self.parts[number][chosen[here] - self.starts[number]]
        return values if np.ndim(rows) else values[0]

    def __getstate__(self) -> tuple[Pixels | tuple[Path, tuple[int, ...]], ...]:
        return tuple(name_of(part) for part in self.parts)

    def __setstate__(self, state: tuple[Pixels | tuple[Path, tuple[int, ...]], ...]) -> None:
        self.__dict__["parts"] = tuple(map(named, state))


def name_of(pixels: Pixels) -> Pixels | tuple[Path, tuple[int, ...]]:
    """Return what another process is sent: the file and the shape of a map, or an array in memory itself."""
    mapped = isinstance(pixels, np.memmap) and pixels.filename
    return (Path(mapped), pixels.shape) if mapped else pixels


def named(sent: Pixels | tuple[Path, tuple[int, ...]]) -> Pixels:
    """Return the array that `name_of` stands for."""
    return open_pixels(*sent) if isinstance(sent, tuple) else sent

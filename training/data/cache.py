"""The cache: canvases, read once through the service's pixel path, as 8-bit values in a memory-mapped file."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from model.labels import LABELS
from training.data.canvas_file import fill, open_file
from training.data.joined_pixels import JoinedPixels, name_of, named
from training.data.pixel_path import Radiographs
from training.data.processors import processors
from training.data.sample import Case, Floats, targets


@dataclass(frozen=True)
class Canvases:
    """Canvases in memory-mapped files, with their metadata; only the files' names are sent to another process.

    Attributes
    ----------
    pixels
        `[M, S', S'] uint8`, canvas values rounded to 1/255, as the published images have 8 bits.
    rows
        `[N] int64`, index of each image in `pixels`.
    cases
        Metadata of the N images.
    factor
        S' / S, by which images are shrunk when they are read.
    labels
        Label of each of the K findings of a case, in order.
    """

    name: str
    pixels: NDArray[np.uint8] | JoinedPixels
    rows: NDArray[np.int64]
    cases: tuple[Case, ...]
    factor: int = 1
    labels: tuple[str, ...] = LABELS

    @cached_property
    def targets(self) -> Floats:
        """`[N, K] float32`: 0, 1, or NaN where unknown."""
        return targets(self.cases)

    @property
    def patients(self) -> tuple[str, ...]:
        """Patient of each of the N images."""
        return tuple(case.patient for case in self.cases)

    @property
    def collections(self) -> tuple[str, ...]:
        """Collection of each of the N images."""
        return tuple(case.collection for case in self.cases)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """S, side of the canvases."""
        return int(self.pixels.shape[-1]) // self.factor

    def read(self, indices: NDArray[np.int64]) -> Tensor:
        """Read the images at indices `[B]`: `[B, 1, S, S] float32 in [0, 1]`."""
        return display_values(self.stored(indices), self.factor)

    def stored(self, indices: NDArray[np.int64]) -> Tensor:
        """Read the images at indices `[B]` as they are stored: `[B, 1, S', S'] uint8`."""
        return torch.from_numpy(self.pixels[self.rows[indices]]).unsqueeze(1)

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Read images and targets at indices `[B]`: `[B, 1, S, S] float32 in [0, 1]` and `[B, K] float32`."""
        return self.read(indices), torch.from_numpy(self.targets[indices])

    def first(self, count: int) -> list[Floats]:
        """Read the first canvases, each `[1, S, S] float32 in [0, 1]`."""
        return list(self.read(np.arange(min(count, len(self)))).numpy())

    def means(self) -> NDArray[np.float64]:
        """Return the mean pixel of each image: `[N] float64 in [0, 1]`."""
        return np.array([self.pixels[row].mean() / 255 for row in self.rows])

    def subset(self, indices: NDArray[np.int64]) -> "Canvases":
        """Return the images at indices `[n]`; the pixels are shared."""
        return replace(self, rows=self.rows[indices], cases=tuple(self.cases[index] for index in indices))

    def reduced(self, size: int) -> "Canvases":
        """Return canvases that are area-averaged to `size` when read; unchanged if smaller or not a multiple of it."""
        if self.size <= size or self.size % size:
            return self
        return replace(self, factor=self.factor * (self.size // size))

    def __getstate__(self) -> dict[str, Any]:
        pixels = self.pixels if isinstance(self.pixels, JoinedPixels) else name_of(self.pixels)
        return self.__dict__ | {"pixels": pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        pixels = state["pixels"]
        self.__dict__.update(state | {"pixels": pixels if isinstance(pixels, JoinedPixels) else named(pixels)})


def display_values(pixels: Tensor, factor: int) -> Tensor:
    """Return display values `[B, 1, S, S] float32 in [0, 1]` of `[B, 1, S', S'] uint8`, shrunk by a factor S' / S."""
    values = pixels.float().div_(255)
    return avg_pool2d(values, factor) if factor > 1 else values


def cache_canvases(source: Radiographs, folder: Path, workers: int | None = None) -> Canvases:
    """Read every canvas of a source that is not in the cache yet, with all processors if no number is given."""
    file = open_file(folder, source.size)
    fill(file, source.keys, lambda index: source[index].canvas, workers or processors())
    rows = np.array([file.rows[key] for key in source.keys], np.int64)
    return Canvases(source.name, file.open(), rows, source.cases, labels=source.labels)

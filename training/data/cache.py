"""The cache: canvases, read once through the service's pixel path, as 8-bit values in a memory-mapped file.

MONAI's PersistentDataset is not used: if the system's temporary folder is on another disk than the cache, processes
that fill it together read each other's half-written files (6 to 10 errors each for three processes and 300 images).
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor
from torch.nn.functional import avg_pool2d

from model.labels import LABELS
from training.data.pixel_path import Radiographs
from training.data.sample import Case, Floats, targets
from training.errors import TrainingError

CHUNK = 64  # images between two flushes


@dataclass(frozen=True)
class Canvases:
    """Canvases in a memory-mapped file, with their metadata; only the file's name is sent to another process.

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
    pixels: NDArray[np.uint8]
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
        mapped = isinstance(self.pixels, np.memmap) and self.pixels.filename
        return self.__dict__ | ({"pixels": Path(mapped)} if mapped else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        path = state["pixels"]
        self.__dict__.update(state | ({"pixels": open_array(path)} if isinstance(path, Path) else {}))


def display_values(pixels: Tensor, factor: int) -> Tensor:
    """Return display values `[B, 1, S, S] float32 in [0, 1]` of `[B, 1, S', S'] uint8`, shrunk by a factor S' / S."""
    values = pixels.float().div_(255)
    return avg_pool2d(values, factor) if factor > 1 else values


def cache_canvases(source: Radiographs, folder: Path, workers: int = 2) -> Canvases:
    """Read every canvas of a source that is not in the cache yet.

    A second file marks the rows that are written, so that an interrupted call can be resumed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(source), source.size, source.size)
    stem = f"{source.key}-{len(source)}"
    path = folder / f"{stem}.npy"
    fill(source, open_or_create(path, shape), open_or_create(folder / f"{stem}.written.npy", shape[:1]), workers)
    return Canvases(source.name, open_array(path), np.arange(len(source)), tuple(source.cases), labels=source.labels)


def fill(source: Radiographs, pixels: NDArray[np.uint8], written: NDArray[np.uint8], workers: int) -> None:
    """Fill the rows of `pixels` `[N, S, S] uint8` that are 0 in `written` `[N] uint8`.

    Threads are enough, as decoding and resizing release the interpreter's lock.
    """
    todo = np.flatnonzero(written == 0)

    def store(row: int) -> None:
        pixels[row] = np.rint(source[row].canvas[0] * 255)

    with ThreadPoolExecutor(workers) as pool, Progress(transient=True, disable=not len(todo)) as progress:
        task = progress.add_task("reading images", total=len(todo))
        for chunk in np.split(todo, range(CHUNK, len(todo), CHUNK)):
            list(pool.map(store, chunk.tolist()))
            flush(pixels)
            written[chunk] = 1
            flush(written)
            progress.advance(task, len(chunk))


def open_or_create(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Open a memory-mapped array `[N, ...] uint8`, or create one of zeros.

    It is created atomically, so that of two runs that start together neither overwrites the other's file.

    Raises
    ------
    TrainingError
        It would not fit on the disk. Writing to a memory-mapped file on a full disk would kill the process.
    """
    if not path.is_file():
        needed, free = prod(shape), disk_usage(path.parent).free
        if needed > free:
            raise TrainingError(f"{path.parent}: canvases need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} are free")
        with TemporaryDirectory(dir=path.parent) as temporary, suppress(FileExistsError):
            part = Path(temporary) / path.name
            np.lib.format.open_memmap(part, "w+", np.uint8, shape)
            path.hardlink_to(part)
    return np.lib.format.open_memmap(path, "r+")


def open_array(path: Path) -> NDArray[np.uint8]:
    """Open a memory-mapped array `[N, ...] uint8` for reading."""
    return np.lib.format.open_memmap(path, "r")


def flush(array: NDArray[np.uint8]) -> None:
    """Flush a memory-mapped array `[N, ...]` to the disk."""
    if isinstance(array, np.memmap):
        array.flush()

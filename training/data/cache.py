"""Canvases read once through the service's pixel path and kept as 8-bit values in a memory-mapped file.

Not MONAI's PersistentDataset: where the system's temporary folder lies on another disk than the cache, three processes
that built one together read each other's half-written files (6 to 10 errors each in 300 images).
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

from training.data.pixel_path import Radiographs
from training.data.sample import Case, Floats, targets
from training.errors import TrainingError

CHUNK = 64  # images between two flushes


@dataclass(frozen=True)
class Canvases:
    """Images in memory-mapped storage, with what is known about them; another process is handed the file's name.

    Attributes
    ----------
    pixels
        [M, S', S'] uint8: canvas values rounded to 1/255, as the published images have 8 bits.
    rows
        [N] where in `pixels` each image is.
    cases
        [N] what is known of each image.
    factor
        S' / S: how far images are shrunk when they are read.
    """

    name: str
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    cases: tuple[Case, ...]
    factor: int = 1

    @cached_property
    def targets(self) -> Floats:
        """[N, K] float32, NaN unknown."""
        return targets(self.cases)

    @property
    def patients(self) -> tuple[str, ...]:
        """[N], whose each image is."""
        return tuple(case.patient for case in self.cases)

    @property
    def collections(self) -> tuple[str, ...]:
        """[N], which part of the data set each image is from."""
        return tuple(case.collection for case in self.cases)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """S, side of the canvases."""
        return int(self.pixels.shape[-1]) // self.factor

    def read(self, indices: NDArray[np.int64]) -> Tensor:
        """[B, 1, S, S] float32 in [0, 1]."""
        values = torch.from_numpy(self.pixels[self.rows[indices]]).unsqueeze(1).float().div_(255)
        return avg_pool2d(values, self.factor) if self.factor > 1 else values

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """([B, 1, S, S] float32 in [0, 1], [B, K] float32)."""
        return self.read(indices), torch.from_numpy(self.targets[indices])

    def first(self, count: int) -> list[Floats]:
        """The first canvases, each [1, S, S] float32 in [0, 1]."""
        return list(self.read(np.arange(min(count, len(self)))).numpy())

    def means(self) -> NDArray[np.float64]:
        """[N], each image's mean pixel in [0, 1]."""
        return np.array([self.pixels[row].mean() / 255 for row in self.rows])

    def subset(self, indices: NDArray[np.int64]) -> "Canvases":
        """Only these images; the pixels are shared."""
        return replace(self, rows=self.rows[indices], cases=tuple(self.cases[index] for index in indices))

    def reduced(self, size: int) -> "Canvases":
        """Area-averaged to `size` as they are read; themselves where they are no larger or not a multiple of it."""
        if self.size <= size or self.size % size:
            return self
        return replace(self, factor=self.factor * (self.size // size))

    def __getstate__(self) -> dict[str, Any]:
        mapped = isinstance(self.pixels, np.memmap) and self.pixels.filename
        return self.__dict__ | ({"pixels": Path(mapped)} if mapped else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        path = state["pixels"]
        self.__dict__.update(state | ({"pixels": opened(path)} if isinstance(path, Path) else {}))


def cached(source: Radiographs, folder: Path, workers: int = 2) -> Canvases:
    """Read every canvas of a source that is not in the cache yet.

    An interrupted build goes on where it was: a second file says which rows are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(source), source.size, source.size)
    stem = f"{source.key}-{len(source)}"
    path = folder / f"{stem}.npy"
    fill(source, mapped(path, shape), mapped(folder / f"{stem}.written.npy", shape[:1]), workers)
    return Canvases(source.name, opened(path), np.arange(len(source)), tuple(source.cases))


def fill(source: Radiographs, pixels: NDArray[np.uint8], written: NDArray[np.uint8], workers: int) -> None:
    """Read the rows that `written` lacks; threads do, as decoding and resizing leave the interpreter's lock."""
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


def mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A memory-mapped array of this shape, made of zeros where there is none.

    It appears whole or not at all, and once: of two runs that begin together, none takes away what the other wrote.

    Raises
    ------
    TrainingError
        It would not fit on the disk, which a memory-mapped file is told of by a signal that kills.
    """
    if not path.is_file():
        wanted, free = prod(shape), disk_usage(path.parent).free
        if wanted > free:
            raise TrainingError(f"{path.parent}: canvases need {wanted / 1e9:.1f} GB, and {free / 1e9:.1f} are free")
        with TemporaryDirectory(dir=path.parent) as own, suppress(FileExistsError):
            part = Path(own) / path.name
            np.lib.format.open_memmap(part, "w+", np.uint8, shape)
            path.hardlink_to(part)
    return np.lib.format.open_memmap(path, "r+")


def opened(path: Path) -> NDArray[np.uint8]:
    """A memory-mapped array, to be read."""
    return np.lib.format.open_memmap(path, "r")


def flush(array: NDArray[np.uint8]) -> None:
    """Bring a memory-mapped array to the disk."""
    if isinstance(array, np.memmap):
        array.flush()

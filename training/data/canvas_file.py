"""The file that holds all canvases of one size and resize rule, whatever list they are from; it grows by new images.

canvases-512-stretch.u8       `[M, S, S] uint8`; a row that the index names never changes
canvases-512-stretch.index    entries of an image's key and its row, appended when the row is on the disk
canvases-512-stretch.lock     empty; its bytes are locked

MONAI's PersistentDataset is not used: it writes a file for each image, and if the system's temporary folder is on
another disk than the cache, processes that fill it together read each other's half-written files (6 to 10 errors each
for three processes and 300 images).
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import disk_usage

import numpy as np
from numpy.typing import NDArray

from training.data.pixel_path import RULE
from training.data.sample import Floats
from training.errors import TrainingError
from training.progress import progress_bar

CHUNK = 64  # images between two flushes; at most so many are decoded again after an interruption
ENTRY = np.dtype([("key", "V16"), ("row", "<i8")])
# Bytes of the lock file; the others stand for images.
GROWTH = 0  # locked while a file grows
WRITING = 1  # shared by the processes that write rows which the index does not name yet

Pixels = NDArray[np.uint8]


@dataclass
class CanvasFile:
    """The files of one size and rule.

    Attributes
    ----------
    rows
        Key of an image to its row, as far as the index has been read; `update` reads what was appended since.
    index_bytes
        Part of the index that has been read.
    end
        The row after the last one that this part names.
    """

    pixels: Path
    index: Path
    lock: Path
    size: int
    rows: dict[bytes, int] = field(default_factory=dict)
    index_bytes: int = 0
    end: int = 0

    @property
    def row_bytes(self) -> int:
        """Size of a canvas in bytes."""
        return self.size**2

    def count(self) -> int:
        """Return M, the number of rows in the pixel file, filled or not."""
        return self.pixels.stat().st_size // self.row_bytes

    def update(self) -> list[bytes]:
        """Read the entries that were appended to the index, and return their keys."""
        entries = np.fromfile(self.index, ENTRY, offset=self.index_bytes)  # without an entry that is half-written
        self.index_bytes += entries.nbytes
        entries = entries[entries["row"] < self.count()]  # the pixel file may have been deleted
        keys: list[bytes] = entries["key"].tolist()
        self.rows.update(zip(keys, entries["row"].tolist(), strict=True))
        self.end = max(self.end, int(entries["row"].max(initial=-1)) + 1)
        return keys

    def open(self) -> Pixels:
        """Map the canvases `[M, S, S] uint8` for reading."""
        return open_pixels(self.pixels, (self.count(), self.size, self.size))


def open_file(folder: Path, size: int) -> CanvasFile:
    """Open the canvases of side `size`, or create empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, index, lock = (folder / f"canvases-{size}-{RULE}.{suffix}" for suffix in ("u8", "index", "lock"))
    for path in (pixels, index, lock):
        path.touch()
    file = CanvasFile(pixels, index, lock, size)
    file.update()
    return file


def open_pixels(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Map the first canvases of a file, `[M, S, S] uint8`, for reading."""
    return np.memmap(path, np.uint8, "r", shape=shape)


def fill(file: CanvasFile, keys: Sequence[bytes], read: Callable[[int], Floats], workers: int) -> None:
    """Append the canvases whose keys are not in the file.

    Processes that fill a file together share the work: each image is locked by the process that decodes it, and the
    system releases the locks of a process that dies. Threads are enough within a process, as decoding and resizing
    release the interpreter's lock.

    Parameters
    ----------
    read
        Reads the canvas `[1, S, S] float32 in [0, 1]` of the image at a place in `keys`.

    Raises
    ------
    TrainingError
        The canvases would not fit on the disk.
    """
    todo = {key: place for place, key in enumerate(keys) if key not in file.rows}
    if not todo:
        return
    refuse_full_disk(file, len(todo))
    with (
        file.lock.open("r+b") as lock,
        ThreadPoolExecutor(workers) as pool,
        progress_bar() as progress,
    ):
        task = progress.add_task("reading images", total=len(todo))
        while todo:
            with claimed(lock.fileno(), todo) as mine:
                done = set(file.update())  # by another process, perhaps between our two looks at the index
                fresh = {key: todo[key] for key in mine if key not in file.rows}
                if fresh:
                    done.update(append(file, lock.fileno(), fresh, lambda places: pool.map(read, places)))
                    done.update(file.update())
            done.intersection_update(todo)
            for key in done:
                del todo[key]
            progress.advance(task, len(done))


def append(
    file: CanvasFile, lock: int, places: Mapping[bytes, int], read: Callable[[Sequence[int]], Iterator[Floats]]
) -> list[bytes]:
    """Write canvases to new rows of the pixel file and, when they are on the disk, their entries to the index.

    Returns
    -------
    list of bytes
        Keys that other processes have appended since the last update.
    """
    with file.pixels.open("r+b", buffering=0) as pixels, unlocked_afterwards(lock, WRITING):
        with locked(lock, GROWTH):
            others = file.update()
            # If nobody else is writing, an interrupted process has left the rows that have no entry.
            first = file.end if try_lock(lock, WRITING) else file.count()
            fcntl.lockf(lock, fcntl.LOCK_SH, 1, WRITING)
            # Never less: other processes may be opening as many rows as there were.
            os.ftruncate(pixels.fileno(), max(file.count(), first + len(places)) * file.row_bytes)
        for row, canvas in enumerate(read(list(places.values())), first):
            write(pixels.fileno(), np.rint(canvas[0] * 255).astype(np.uint8), row * file.row_bytes, file.pixels)
        os.fsync(pixels.fileno())
        entries = np.array([(key, row) for row, key in enumerate(places, first)], ENTRY)
        with locked(lock, GROWTH), file.index.open("r+b", buffering=0) as index:
            end = index.seek(0, os.SEEK_END) // ENTRY.itemsize * ENTRY.itemsize  # over an entry that is half-written
            write(index.fileno(), entries, end, file.index)
    return others


def write(descriptor: int, values: NDArray[np.generic], place: int, path: Path) -> None:
    """Write an array at a place in a file.

    Raises
    ------
    TrainingError
        The disk is full or fails. Writing through a memory map would kill the process.
    """
    data = values.tobytes()
    try:
        while data:
            written = os.pwrite(descriptor, data, place)
            data, place = data[written:], place + written
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}") from error


def refuse_full_disk(file: CanvasFile, count: int) -> None:
    """Raise if the disk has no room for `count` canvases."""
    needed, free = count * file.row_bytes, disk_usage(file.pixels.parent).free
    if needed > free:
        raise TrainingError(f"{file.pixels.parent}: canvases need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} are free")


@contextmanager
def claimed(lock: int, todo: Mapping[bytes, int]) -> Iterator[list[bytes]]:
    """Lock up to `CHUNK` images that no other process has locked; if there are none, wait for the first."""
    mine: list[bytes] = []
    try:
        for key in todo:
            if len(mine) == CHUNK:
                break
            if try_lock(lock, place_of(key)):
                mine.append(key)
        if not mine:
            first = next(iter(todo))
            fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(first))
            mine.append(first)
        yield mine
    finally:
        for key in mine:
            fcntl.lockf(lock, fcntl.LOCK_UN, 1, place_of(key))


def place_of(key: bytes) -> int:
    """Return the byte of the lock file that stands for an image."""
    return WRITING + 1 + (int.from_bytes(key[:8]) >> 2)


def try_lock(lock: int, place: int) -> bool:
    """Lock a byte of a file unless another process has locked it."""
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(lock: int, place: int) -> Iterator[None]:
    """Hold the lock of a byte of a file."""
    with unlocked_afterwards(lock, place):
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place)
        yield


@contextmanager
def unlocked_afterwards(lock: int, place: int) -> Iterator[None]:
    """Give up the lock of a byte of a file, if it is held, at the end."""
    try:
        yield
    finally:
        fcntl.lockf(lock, fcntl.LOCK_UN, 1, place)

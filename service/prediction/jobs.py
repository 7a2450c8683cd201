"""What a decoder process does with a file that it was handed: everything that reads or decodes the bytes of a file.

Each job raises errors of the file, MemoryError, or OSError where the file cannot be read, and nothing else.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom import radiograph
from service.dicom.canvas import Rule, canvas
from service.dicom.policy import Policy
from service.dicom.radiograph import Header
from service.dicom.reader import Bounds, read
from service.dicom.unwindowed import Unwindowed
from service.errors import MalformedDicom, TriageError

Result = TypeVar("Result")
View = Callable[[], NDArray[np.uint8]]
File = BinaryIO | bytes  # open, to be read from its start


@dataclass(frozen=True)
class Prepared:
    """A file as the network and the record need it: `header`, and `canvas` `[1, S, S] float32 in [0, 1]`."""

    header: Header
    canvas: NDArray[np.float32]


def ready() -> None:
    """Do nothing: to find this function, a process imports what it decodes with, before it takes its first file."""


def prepare(
    file: File,
    bounds: Bounds,
    size: int,
    rule: Rule,
    policy: Policy = Policy(),  # noqa: B008 (frozen)
) -> Prepared:
    """Decode a file that the gate accepts, and resample it to a canvas of `size` pixels."""
    start = perf_counter()
    data = _content(file, bounds)
    read_ms = 1000 * (perf_counter() - start)
    with _errors_of_the_file():
        image = radiograph.radiograph(data, bounds, policy)
        start = perf_counter()
        square = canvas(image.values, size, rule, image.header.aspect)
    spent = image.header.timings_ms
    more = {"read": spent["read"] + read_ms, "prepare": spent["prepare"] + 1000 * (perf_counter() - start)}
    return Prepared(replace(image.header, timings_ms=spent | more), square)


def render(file: File, bounds: Bounds, draw: Callable[[NDArray[np.uint8]], bytes]) -> bytes:
    """Draw the display values of a file, `[H, W] uint8`."""
    data = _content(file, bounds)
    with _errors_of_the_file():
        return draw(_view(data, bounds))


def derive(file: File, bounds: Bounds, make: Callable[[Dataset, View], bytes]) -> bytes:
    """Make an object from the data set of a file and, on demand, from its display values, `[H, W] uint8`."""
    data = _content(file, bounds)
    with _errors_of_the_file():
        return make(read(data, bounds), partial(_view, data, bounds))


def unwindowed(file: File, bounds: Bounds) -> Unwindowed:
    """Return the values of a file before any window."""
    data = _content(file, bounds)
    with _errors_of_the_file():
        return radiograph.unwindowed(data, bounds)


def examine(file: File, bounds: Bounds, function: Callable[..., Result], *others: File) -> Result:
    """Call a function on the bytes of a file, the bounds and the bytes of other files."""
    data, rest = _content(file, bounds), [_content(other, bounds) for other in others]
    with _errors_of_the_file():
        return function(data, bounds, *rest)


@contextmanager
def _errors_of_the_file() -> Iterator[None]:
    """Report whatever fails as an error of the file; messages and warnings are dropped, as they may quote values."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (TriageError, MemoryError):
        raise
    except Exception as error:
        raise MalformedDicom(f"this data set cannot be processed: {type(error).__name__}", "value_invalid") from None


def _content(file: File, bounds: Bounds) -> bytes:
    if isinstance(file, bytes):
        return file
    # One byte more than the bound, so that `read` refuses a file that is too large
    return file.read(min(os.fstat(file.fileno()).st_size, bounds.max_file_bytes + 1))


def _view(data: bytes, bounds: Bounds) -> NDArray[np.uint8]:
    values = radiograph.display_values(data, bounds)
    return np.rint(np.multiply(values, 255, out=values), out=values).astype(np.uint8)

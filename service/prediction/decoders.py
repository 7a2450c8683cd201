"""Decoding in separate processes with limits on time and memory: every decoder holds the GIL, and some can crash."""

import logging
import os
import resource
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.canvas import Rule, canvas
from service.dicom.policy import Policy
from service.dicom.radiograph import Header, display_values, radiograph, unwindowed
from service.dicom.reader import Bounds, read
from service.dicom.unwindowed import Unwindowed
from service.errors import DecodeTimeout, MalformedDicom, NotFound, Overloaded, TriageError
from service.prediction.freed_memory import keep_freed_memory
from service.prediction.worker import DeadlineExceeded, ProcessDied
from service.prediction.workers import Unavailable, Workers

Result = TypeVar("Result")
View = Callable[[], NDArray[np.uint8]]
File = Path | bytes  # a path is read in the process: what travels to it is small


@dataclass(frozen=True)
class Prepared:
    """A file as the network and the record need it: `header`, and `canvas` `[1, S, S] float32 in [0, 1]`."""

    header: Header
    canvas: NDArray[np.float32]


class Decoders:
    """A pool of decoder processes, each started when a file needs it.

    Parameters
    ----------
    workers
        Number of processes.
    seconds
        Time that decoding one file may take, waiting not included.
    memory_bytes
        Address space of one process, libraries included; at least 1 GiB.
    bounds
        Bounds on one file.
    policy
        What the site changes in the rules of the gate.
    """

    def __init__(
        self,
        workers: int,
        seconds: float,
        memory_bytes: int,
        bounds: Bounds,
        policy: Policy = Policy(),  # noqa: B008 (frozen)
    ) -> None:
        self._seconds, self._bounds, self._policy = seconds, bounds, policy
        self._workers = Workers(workers, partial(_confine, memory_bytes))

    async def prepare(self, file: File, size: int, rule: Rule) -> Prepared:
        """Read a file and resample it to a canvas of `size` pixels.

        Raises
        ------
        DecodeTimeout
            Decoding took too long; the process was killed.
        MalformedDicom
            `decoder_failed`: the process crashed twice on this file, or ran out of memory; also as for `radiograph`.
        TooLarge, UnsupportedEncoding, UnsuitableImage
        NotFound, OSError
            There is no file at the path, or it cannot be read.
        Overloaded
            `decoder_unavailable`: through no fault of the file, no process finished it. Each process that is killed
            from outside is replaced, and the file is tried once more.
        """
        return await self._run(_prepare, (file, self._bounds, size, rule, self._policy))

    async def render(self, file: File, draw: Callable[[NDArray[np.uint8]], bytes]) -> bytes:
        """Draw the display values of a file, `[H, W] uint8`, within the limits on decoding.

        Parameters
        ----------
        draw
            Must be picklable; its exceptions are raised here.

        Raises
        ------
        As `prepare`; Overloaded, `rendering_timeout`, in place of DecodeTimeout: the file was decoded in time before.
        """
        return await self._again(_render, (file, self._bounds, draw))

    async def derive(self, file: File, make: Callable[[Dataset, View], bytes]) -> bytes:
        """Make an object from the data set of a file and, on demand, from its display values, `[H, W] uint8`.

        Parameters
        ----------
        make
            Must be picklable.

        Raises
        ------
        As `render`; also MalformedDicom, `value_invalid`, where `make` fails.
        """
        return await self._again(_derive, (file, self._bounds, make))

    async def unwindowed(self, file: File) -> Unwindowed:
        """Return the values of a file before any window is applied.

        Raises
        ------
        As `render`.
        """
        return await self._again(_unwindowed, (file, self._bounds))

    async def examine(self, file: File, function: Callable[[bytes, Bounds], Result]) -> Result:
        """Call a function on the bytes of a file, within the limits on decoding.

        Parameters
        ----------
        function
            Must be picklable, as must its result.

        Raises
        ------
        As `render`; also MalformedDicom, `value_invalid`, where `function` fails.
        """
        return await self._again(_examine, (file, self._bounds, function))

    def close(self) -> None:
        """Stop every process, even if it is working."""
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _again(self, function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
        """Process a file that is stored, and so was decoded in time when it arrived: a timeout now is due to load."""
        try:
            return await self._run(function, arguments)
        except DecodeTimeout:
            raise Overloaded(
                f"this took longer than {self._seconds:g} s; try again later", "rendering_timeout"
            ) from None

    async def _run(self, function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
        try:
            return await self._workers.run(function, arguments, self._seconds)
        except DeadlineExceeded:
            raise DecodeTimeout(f"decoding took longer than {self._seconds:g} s") from None
        except (ProcessDied, MemoryError):
            raise MalformedDicom("the decoder crashed or ran out of memory on this file", "decoder_failed") from None
        except Unavailable:
            raise Overloaded("no decoder process is available; send the file again", "decoder_unavailable") from None


def _prepare(
    file: File,
    bounds: Bounds,
    size: int,
    rule: Rule,
    policy: Policy = Policy(),  # noqa: B008 (frozen)
) -> Prepared:
    start = perf_counter()
    data = _content(file, bounds)
    read_ms = 1000 * (perf_counter() - start)
    image = radiograph(data, bounds, policy)
    start = perf_counter()
    square = canvas(image.values, size, rule, image.header.aspect)
    spent = image.header.timings_ms
    more = {"read": spent["read"] + read_ms, "prepare": spent["prepare"] + 1000 * (perf_counter() - start)}
    return Prepared(replace(image.header, timings_ms=spent | more), square)


def _render(file: File, bounds: Bounds, draw: Callable[[NDArray[np.uint8]], bytes]) -> bytes:
    return draw(_view(_content(file, bounds), bounds))


def _derive(file: File, bounds: Bounds, make: Callable[[Dataset, View], bytes]) -> bytes:
    data = _content(file, bounds)
    dataset = read(data, bounds)
    try:
        return make(dataset, partial(_view, data, bounds))
    except (TriageError, MemoryError):
        raise
    except Exception as error:  # the fault of the file; the message is dropped, as it may quote values
        kind = type(error).__name__
        raise MalformedDicom(f"no object can be made from this data set: {kind}", "value_invalid") from None


def _unwindowed(file: File, bounds: Bounds) -> Unwindowed:
    return unwindowed(_content(file, bounds), bounds)


def _examine(file: File, bounds: Bounds, function: Callable[[bytes, Bounds], Result]) -> Result:
    data = _content(file, bounds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return function(data, bounds)
    except (TriageError, MemoryError):
        raise
    except Exception as error:  # as in `_derive`
        raise MalformedDicom(f"this data set cannot be processed: {type(error).__name__}", "value_invalid") from None


def _content(file: File, bounds: Bounds) -> bytes:
    if isinstance(file, bytes):
        return file
    try:
        with file.open("rb") as stream:
            # One byte more than the bound, so that `read` refuses a file that is too large
            return stream.read(min(os.fstat(stream.fileno()).st_size, bounds.max_file_bytes + 1))
    except FileNotFoundError:
        raise NotFound("no such instance") from None


def _view(data: bytes, bounds: Bounds) -> NDArray[np.uint8]:
    values = display_values(data, bounds)
    return np.rint(np.multiply(values, 255, out=values), out=values).astype(np.uint8)


def _confine(memory_bytes: int) -> None:
    """Confine a new process: limit its memory, let SIGTERM end it at once, keep data sets out of logs and core dumps.

    Standard output and error are discarded, because decoder libraries write to them.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    keep_freed_memory()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler in Python would wait for the C library to return
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with Path(os.devnull).open("wb") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)

"""Decoding in processes of its own, with limits on time and memory: every decoder holds the GIL, some can crash."""

import asyncio
import logging
import multiprocessing
import os
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool
from pydicom import Dataset

from service.dicom.canvas import Rule, canvas
from service.dicom.radiograph import Header, radiograph, unwindowed
from service.dicom.reader import Bounds, read
from service.dicom.unwindowed import Unwindowed
from service.errors import DecodeTimeout, MalformedDicom, TriageError

Result = TypeVar("Result")
View = Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class Prepared:
    """What the network and the record need: `header`, and `canvas` [1, S, S] float32 in [0, 1]."""

    header: Header
    canvas: NDArray[np.float32]


class Decoders:
    """A pool of decoder processes, started by the first file.

    Parameters
    ----------
    workers
        Processes.
    seconds
        Time that one file may take, waiting not counted.
    memory_bytes
        Address space of one process, libraries included; 1 GiB is a sensible least.
    bounds
        Of one file.
    """

    def __init__(self, workers: int, seconds: float, memory_bytes: int, bounds: Bounds) -> None:
        self._workers, self._seconds, self._memory_bytes, self._bounds = workers, seconds, memory_bytes, bounds
        self._closed = False
        self._pool = self._new_pool()

    async def prepare(self, data: bytes, size: int, rule: Rule) -> Prepared:
        """Bring a file to its canvas of `size` pixels.

        Raises
        ------
        DecodeTimeout
            The process is replaced.
        MalformedDicom
            `decoder_failed` where the process died or ran out of memory, and as `radiograph` has it.
        TooLarge, UnsupportedEncoding, UnsuitableImage
        """
        return await self._run(_prepare, (data, self._bounds, size, rule))

    async def render(self, data: bytes, draw: Callable[[NDArray[np.uint8]], bytes]) -> bytes:
        """Draw a file's display values, [H, W] uint8, within the limits on decoding.

        Parameters
        ----------
        draw
            Can be pickled; what it raises comes back as it is.

        Raises
        ------
        As `prepare`.
        """
        return await self._run(_render, (data, self._bounds, draw))

    async def derive(self, data: bytes, make: Callable[[Dataset, View], bytes]) -> bytes:
        """Make an object of a file's data set and, where it asks for them, of its display values, [H, W] uint8.

        Parameters
        ----------
        make
            Can be pickled.

        Raises
        ------
        As `prepare`; MalformedDicom, `value_invalid`, also where `make` fails.
        """
        return await self._run(_derive, (data, self._bounds, make))

    async def unwindowed(self, data: bytes) -> Unwindowed:
        """Give a file's values before the window.

        Raises
        ------
        As `prepare`.
        """
        return await self._run(unwindowed, (data, self._bounds))

    async def examine(self, data: bytes, function: Callable[[bytes, Bounds], Result]) -> Result:
        """Work on a file's bytes, within the limits on decoding.

        Parameters
        ----------
        function
            Can be pickled, as can what it gives.

        Raises
        ------
        As `prepare`; MalformedDicom, `value_invalid`, also where `function` fails.
        """
        return await self._run(_examine, (data, self._bounds, function))

    def close(self) -> None:
        """Stop every process, also those at work."""
        self._closed = True
        _stop(self._pool)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _run(self, function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
        pool = self._pool
        try:
            return await self._attempt(pool, function, arguments)
        except RuntimeError:  # a process that dies between two files breaks the pool: nobody's file is to blame
            await self._replace(pool)
        try:
            return await self._attempt(self._pool, function, arguments)
        except BrokenProcessPool:
            raise MalformedDicom("the decoder died twice on this file", "decoder_failed") from None

    async def _attempt(
        self, pool: ProcessPool, function: Callable[..., Result], arguments: tuple[object, ...]
    ) -> Result:
        with _deaf_to_interrupts():
            future = pool.schedule(function, args=arguments, timeout=self._seconds)
        try:
            return await asyncio.wrap_future(future)  # cancelled, it stops the process
        except TimeoutError:
            raise DecodeTimeout(f"not decoded within {self._seconds:g} s") from None
        except (ProcessExpired, MemoryError):
            raise MalformedDicom("the decoder died or ran out of memory on this file", "decoder_failed") from None

    async def _replace(self, broken: ProcessPool) -> None:
        if self._closed:
            raise RuntimeError("the decoders are closed")
        if broken is self._pool:
            self._pool = self._new_pool()
            await asyncio.to_thread(_stop, broken)

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._workers,
            initializer=_confine,
            initargs=(self._memory_bytes,),
            context=multiprocessing.get_context("spawn"),
        )


def _prepare(data: bytes, bounds: Bounds, size: int, rule: Rule) -> Prepared:
    read = radiograph(data, bounds)
    began = perf_counter()
    square = canvas(read.values, size, rule, read.header.aspect)
    spent = read.header.timings_ms["prepare"] + 1000 * (perf_counter() - began)
    return Prepared(replace(read.header, timings_ms=read.header.timings_ms | {"prepare": spent}), square)


def _render(data: bytes, bounds: Bounds, draw: Callable[[NDArray[np.uint8]], bytes]) -> bytes:
    return draw(_view(data, bounds))


def _derive(data: bytes, bounds: Bounds, make: Callable[[Dataset, View], bytes]) -> bytes:
    dataset = read(data, bounds)
    try:
        return make(dataset, partial(_view, data, bounds))
    except (TriageError, MemoryError):
        raise
    except Exception as error:  # the file's fault, and what is said of it may quote its values
        kind = type(error).__name__
        raise MalformedDicom(f"the data set does not let an object be made of it: {kind}", "value_invalid") from None


def _examine(data: bytes, bounds: Bounds, function: Callable[[bytes, Bounds], Result]) -> Result:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return function(data, bounds)
    except (TriageError, MemoryError):
        raise
    except Exception as error:  # as in `_derive`
        raise MalformedDicom(f"the data set does not allow this: {type(error).__name__}", "value_invalid") from None


def _view(data: bytes, bounds: Bounds) -> NDArray[np.uint8]:
    return np.rint(radiograph(data, bounds).values * 255).astype(np.uint8)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have the threads and processes that the first file starts never see SIGINT, which Ctrl-C sends to all of them.

    A new process would otherwise say where in its imports it was interrupted. Masks are inherited.
    """
    resource_tracker.ensure_running()  # multiprocessing's own process; starting it unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _confine(memory_bytes: int) -> None:
    """In a new process: limits, an end at once when told, and nothing of a data set in logs or core dumps.

    Decoder libraries write to the standard streams, where the service has its own to say.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Python's handlers wait for the C library at work
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with Path(os.devnull).open("wb") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()

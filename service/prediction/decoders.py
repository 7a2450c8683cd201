"""Decoding in separate processes with limits on time and memory: every decoder holds the GIL, and some can crash."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.canvas import Rule
from service.dicom.policy import Policy
from service.dicom.reader import Bounds
from service.dicom.unwindowed import Unwindowed
from service.errors import DecodeTimeout, MalformedDicom, NotFound, Overloaded
from service.prediction import cage, jobs
from service.prediction.jobs import Prepared, View
from service.prediction.plain_values import JobFailed
from service.prediction.transfer import Handed
from service.prediction.worker import DeadlineExceeded, ProcessDied
from service.prediction.workers import Unavailable, Workers

Result = TypeVar("Result")
File = Path | bytes  # a path is opened here and read in the process, which may open no file


class Decoders:
    """A pool of decoder processes, each started when a file needs it.

    Parameters
    ----------
    workers
        Number of processes.
    seconds
        Time that decoding one file may take, waiting not included.
    confinement
        What a process may do and use; at least 1 GiB of memory.
    bounds
        Bounds on one file.
    policy
        What the site changes in the rules of the gate.
    """

    def __init__(
        self,
        workers: int,
        seconds: float,
        confinement: cage.Cage,
        bounds: Bounds,
        policy: Policy = Policy(),  # noqa: B008 (frozen)
    ) -> None:
        self._seconds, self._bounds, self._policy = seconds, bounds, policy
        self._workers = Workers(workers, (partial(cage.enter, confinement), jobs.ready))

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
        ConfigurationError
            As `report`.
        Overloaded
            `decoder_unavailable`: through no fault of the file, no process finished it. Each process that is killed
            from outside is replaced, and the file is tried once more.
        """
        return await self._run(jobs.prepare, (_handed(file), self._bounds, size, rule, self._policy))

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
        return await self._again(jobs.render, (_handed(file), self._bounds, draw))

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
        return await self._again(jobs.derive, (_handed(file), self._bounds, make))

    async def unwindowed(self, file: File) -> Unwindowed:
        """Return the values of a file before any window is applied.

        Raises
        ------
        As `render`.
        """
        return await self._again(jobs.unwindowed, (_handed(file), self._bounds))

    async def examine(self, file: File, function: Callable[..., Result], other: File | None = None) -> Result:
        """Call a function on the bytes of a file and the bounds, within the limits on decoding.

        Parameters
        ----------
        function
            Must be picklable; see `plain_values` for what it may return.
        other
            Another file, whose bytes are then a third argument.

        Raises
        ------
        As `render`; also MalformedDicom, `value_invalid`, where `function` fails.
        """
        others = () if other is None else (_handed(other),)
        return await self._again(jobs.examine, (_handed(file), self._bounds, function, *others))

    async def report(self) -> cage.Report:
        """Return what the cage of a process consists of, and what it lacks.

        Raises
        ------
        Overloaded
            As `prepare`.
        ConfigurationError
            The cage is required, and the kernel lacks a part of it.
        """
        return await self._run(cage.report, ())

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
        except (ProcessDied, MemoryError, JobFailed):
            raise MalformedDicom("the decoder crashed or ran out of memory on this file", "decoder_failed") from None
        except FileNotFoundError:
            raise NotFound("no such instance") from None
        except Unavailable:
            raise Overloaded("no decoder process is available; send the file again", "decoder_unavailable") from None


def _handed(file: File) -> Handed | bytes:
    return Handed(file) if isinstance(file, Path) else file

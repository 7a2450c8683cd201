"""A pool of worker processes: one that dies is replaced, its job is tried once more, and every wait is bounded."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from service import metrics
from service.prediction.worker import START_SECONDS, DeadlineExceeded, ProcessDied, Worker
from service.telemetry import log

Result = TypeVar("Result")

QUEUE_SECONDS = 60.0  # longest wait for the jobs before this one
ATTEMPTS = 2


class Unavailable(Exception):
    """No process finished the job, through no fault of the job."""


class Workers:
    """A pool of worker processes, each started when there is a job for it; usable from any event loop.

    Parameters
    ----------
    count
        Number of processes.
    steps
        As for `Worker`.
    """

    def __init__(self, count: int, steps: Sequence[Callable[[], object]]) -> None:
        self._steps = tuple(steps)
        self._threads = ThreadPoolExecutor(count, "worker")
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._closed = False

    async def run(self, function: Callable[..., Result], arguments: tuple[object, ...], seconds: float) -> Result:
        """Call a function in a process; if the process dies, once more in a new one.

        Cancelling it kills the process.

        Parameters
        ----------
        function, arguments
            Must be picklable, as must the result.
        seconds
            Time the call may take, waiting not included.

        Raises
        ------
        DeadlineExceeded
            The call took longer than `seconds`.
        Unavailable
            The process did not start, was killed twice from outside, or was not free in time.
        ProcessDied
            The process crashed twice.
        StartupError
            Raised by a step.
        RuntimeError
            The pool is closed.
        Exception
            Whatever the function raises, and what opening a file to hand over raises.
        """
        self._check_open()
        job = _Job()
        future = self._threads.submit(self._attempts, job, function, arguments, seconds)
        try:
            async with asyncio.timeout(QUEUE_SECONDS + ATTEMPTS * (START_SECONDS + seconds)) as deadline:
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if deadline.expired():
                raise Unavailable from None
            raise  # by the function
        finally:
            job.end()

    def close(self) -> None:
        """Kill every process, and end the jobs in progress."""
        with self._lock:
            self._closed = True
            workers = [*self._idle, *self._busy]
        for worker in workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._idle:
            worker.dispose()
        self._idle.clear()

    def _attempts(
        self, job: "_Job", function: Callable[..., Result], arguments: tuple[object, ...], seconds: float
    ) -> Result:
        deaths: list[ProcessDied] = []
        while len(deaths) < ATTEMPTS and not job.ended:
            try:
                with self._worker(fresh=bool(deaths)) as worker, job.using(worker):
                    return worker.run(function, arguments, seconds)
            except DeadlineExceeded:
                _replaced("timeout")
                raise
            except ProcessDied as death:
                self._check_open()
                _replaced("cancelled" if job.ended else "crashed" if death.crashed else "killed", str(death))
                deaths.append(death)
        if len(deaths) == ATTEMPTS and all(death.crashed for death in deaths):
            raise deaths[-1]
        raise Unavailable

    @contextmanager
    def _worker(self, fresh: bool) -> Iterator[Worker]:
        """Take an idle worker or start a new one, and put it back if it can be used again.

        Raises
        ------
        ProcessDied
        Unavailable
            The process did not start in time.
        """
        worker = None if fresh else self._take_idle()
        try:
            worker = worker or Worker(self._steps)
        except (DeadlineExceeded, OSError):
            _replaced("start")
            raise Unavailable from None
        with self._lock:
            self._busy.add(worker)
        try:
            self._check_open()
            yield worker
        finally:
            self._put_back(worker)

    def _take_idle(self) -> Worker | None:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_usable():
                    return worker
                _replaced("killed")
                worker.dispose()
        return None

    def _put_back(self, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
            if worker.is_usable() and not self._closed:
                self._idle.append(worker)
                return
        worker.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the pool of processes is closed")


def _replaced(reason: str, detail: str = "") -> None:
    """Count a process that is replaced, and log why."""
    metrics.DECODERS_REPLACED.labels(reason).inc()
    log().warning("decoder process replaced", reason=reason, **({"detail": detail} if detail else {}))


class _Job:
    """One call, which may end before its process does: cancelled, or out of time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self.ended = False

    @contextmanager
    def using(self, worker: Worker) -> Iterator[None]:
        """Let `end` kill this worker while it runs the job, and not later, when it may run another.

        Raises
        ------
        Unavailable
            The job ended while it waited for the worker, which another job can use.
        """
        with self._lock:
            if self.ended:
                raise Unavailable
            self._worker = worker
        try:
            yield
        finally:
            with self._lock:
                self._worker = None

    def end(self) -> None:
        """Kill the worker that is still running the job, if any."""
        with self._lock:
            self.ended = True
            if self._worker is not None:
                self._worker.kill()

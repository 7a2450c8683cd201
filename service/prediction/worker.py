"""One worker process with its own pipe, so that its death concerns only the job that it is working on.

Every wait for the process is bounded: it is killed at a deadline, and the death of a process closes its end of the
pipe, which ends every wait on the other end.
"""

import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from service.errors import StartupError
from service.prediction.plain_values import JobFailed, unpickle
from service.prediction.transfer import Garbled, Package, pack, receive, send, unpack

Result = TypeVar("Result")

_MOST_FILES = 2  # of one job: a file, and one that it is compared with
START_SECONDS = 60.0  # for the process to start; its imports take a second on an idle machine
_NO_VALUE = "it answered with something else than a value"
_SPAWN = multiprocessing.get_context("spawn")
# Signals from an operator, or from the kernel when memory is short. A process that dies otherwise has crashed.
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class DeadlineExceeded(Exception):
    """A process took longer than it may, and was killed."""


class ProcessDied(Exception):
    """A process died.

    Attributes
    ----------
    crashed
        Whether the process died of its own work: not killed from outside, nor before it could start. A process that
        answers with something else than a value was not itself any more, and counts as crashed.
    """

    def __init__(self, crashed: bool, reason: str = "") -> None:
        super().__init__(reason or ("it crashed" if crashed else "it was killed"))
        self.crashed = crashed


class Worker:
    """One process. One thread at a time may use it; any thread may kill it.

    Parameters
    ----------
    steps
        Called in the process one after the other, before any job; must be picklable. The modules of a step are imported
        once the steps before it are done.

    Raises
    ------
    DeadlineExceeded, ProcessDied
        The process did not start.
    StartupError
        Raised by a step.
    """

    def __init__(self, steps: Sequence[Callable[[], object]]) -> None:
        self._pipe, other_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(other_end, tuple(map(pickle.dumps, steps))), daemon=True)
        self._usable = True
        try:
            with _interrupts_blocked():
                self._process.start()
            other_end.close()  # the process must hold the only copy, or its death would not close the pipe
            self._result(None, START_SECONDS)
        except BaseException:
            self.dispose()
            raise

    def run(self, function: Callable[..., Result], arguments: tuple[object, ...], seconds: float) -> Result:
        """Call a function in the process.

        Raises
        ------
        DeadlineExceeded, ProcessDied
            The worker can no longer be used.
        Exception
            Whatever the function raises; JobFailed for what cannot be sent.
        """
        result: Result = self._result(pack((function, arguments)), seconds)
        return result

    def is_usable(self) -> bool:
        """Return whether the process can take another job."""
        return self._usable and self._process.is_alive()

    def kill(self) -> None:
        """Kill the process, even if it is working."""
        with suppress(ValueError, AttributeError):  # already disposed of, or never started
            self._process.kill()

    def dispose(self) -> None:
        """Kill the process and release its resources."""
        self.kill()
        self._pipe.close()
        with suppress(ValueError, AssertionError):  # still running in spite of SIGKILL, or never started
            self._process.join(1)
            self._process.close()

    def _result(self, job: Package | None, seconds: float) -> Any:
        """Send a job to the process, if there is one, and return or raise what it answers."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self.kill()

        timer = threading.Timer(seconds, expire)
        timer.start()
        try:
            if job is not None:
                send(self._pipe, job)
            answer = receive(self._pipe)
        except (EOFError, OSError):
            self._usable = False
            if expired.is_set():
                raise DeadlineExceeded from None
            self._process.join(1)
            status = self._process.exitcode
            raise ProcessDied(job is not None and status is not None and -status not in _FROM_OUTSIDE) from None
        except Garbled:
            self._usable = False
            raise ProcessDied(True, _NO_VALUE) from None
        except BaseException:  # such as MemoryError: a part of a message may be left in the pipe
            self._usable = False
            raise
        finally:
            timer.cancel()
            timer.join()  # after this, the timer cannot kill a later job
        return self._value(answer)

    def _value(self, answer: Package) -> Any:
        """Return or raise what an answer holds; the process is not trusted any more."""
        try:
            succeeded, value = unpickle(answer.content, answer.arrays)
            if not succeeded and not isinstance(value, Exception):
                raise TypeError
        except MemoryError:
            raise
        except Exception:
            self._usable = False
            raise ProcessDied(True, _NO_VALUE) from None
        if not succeeded:
            raise value
        return value


def _serve(pipe: Connection, steps: tuple[bytes, ...]) -> None:
    """Run jobs until the other end of the pipe is closed; the main function of a process."""
    _close_others(pipe)
    gc.disable()  # it would search the modules that are imported now again and again, and find nothing
    try:
        for step in steps:
            pickle.loads(step)()  # noqa: S301
    except StartupError as error:
        send(pipe, _failure(error))
        return
    gc.freeze()
    gc.enable()
    send(pipe, pack((True, None)))
    with suppress(EOFError, ConnectionError):
        while True:
            send(pipe, _outcome(receive(pipe, files=_MOST_FILES)))


def _close_others(pipe: Connection) -> None:
    """Close what multiprocessing leaves open, such as the pipe by which its own tracker is told what to delete."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 (the names are wanted)
        if descriptor > 2 and descriptor != pipe.fileno():
            with suppress(OSError):  # the one by which the folder was read
                os.close(descriptor)


def _outcome(job: Package) -> Package:
    """Call the function of a job; return whether it succeeded, and its result or exception."""
    try:
        function, arguments = unpack(job)
        result = function(*arguments)
    except Exception as error:
        return _failure(error)
    finally:
        for file in job.files:
            file.close()
    try:
        return pack((True, result))
    except MemoryError as error:
        return _failure(error)
    except Exception as error:
        return _failure(JobFailed(type(error).__name__))


def _failure(error: Exception) -> Package:
    try:
        package = pack((False, error))
        unpickle(package.content, package.arrays)
    except Exception:  # an exception that cannot be sent
        return pack((False, JobFailed(type(error).__name__)))
    return package


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that never receive SIGINT, which Ctrl-C sends to all of them.

    A new process would otherwise print where in its imports it was interrupted. Signal masks are inherited.
    """
    resource_tracker.ensure_running()  # a process of multiprocessing's own; starting it unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

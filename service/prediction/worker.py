"""One worker process with its own pipe, so that its death concerns only the job that it is working on.

Every wait for the process is bounded: it is killed at a deadline, and the death of a process closes its end of the
pipe, which ends every wait on the other end.
"""

import gc
import multiprocessing
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from service.prediction.transfer import Package, pack, receive, send

Result = TypeVar("Result")

START_SECONDS = 60.0  # for the process to start; its imports take a second on an idle machine
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
        Whether the process died of its own work: not killed from outside, nor before it could start.
    """

    def __init__(self, crashed: bool) -> None:
        super().__init__("the process crashed" if crashed else "the process was killed")
        self.crashed = crashed


class Worker:
    """One process. One thread at a time may use it; any thread may kill it.

    Parameters
    ----------
    initialise
        Called once in the process, before any job; must be picklable.

    Raises
    ------
    DeadlineExceeded, ProcessDied
        The process did not start.
    """

    def __init__(self, initialise: Callable[[], None]) -> None:
        self._pipe, other_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(other_end, pickle.dumps(initialise)), daemon=True)
        self._usable = True
        try:
            with _interrupts_blocked():
                self._process.start()
            other_end.close()  # the process must hold the only copy, or its death would not close the pipe
            self._receive(None, START_SECONDS)
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
            Whatever the function raises.
        """
        succeeded, value = self._receive(pickle.dumps((function, arguments)), seconds)
        if not succeeded:
            raise value
        result: Result = value
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

    def _receive(self, message: bytes | None, seconds: float) -> Any:
        """Send a message to the process, if there is one, and return the next value from it."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self.kill()

        timer = threading.Timer(seconds, expire)
        timer.start()
        try:
            if message is not None:
                self._pipe.send_bytes(message)
            return receive(self._pipe)
        except (EOFError, OSError):
            self._usable = False
            if expired.is_set():
                raise DeadlineExceeded from None
            self._process.join(1)
            status = self._process.exitcode
            raise ProcessDied(message is not None and status is not None and -status not in _FROM_OUTSIDE) from None
        except BaseException:  # such as MemoryError: a part of a message may be left in the pipe
            self._usable = False
            raise
        finally:
            timer.cancel()
            timer.join()  # after this, the timer cannot kill a later job


def _serve(pipe: Connection, initialise: bytes) -> None:
    """Run jobs until the other end of the pipe is closed; the main function of a process."""
    gc.disable()  # it would search the modules that are imported now again and again, and find nothing
    pickle.loads(initialise)()  # noqa: S301
    gc.freeze()
    gc.enable()
    send(pipe, pack("ready"))
    with suppress(EOFError, ConnectionError):
        while True:
            send(pipe, _outcome(pipe.recv_bytes()))


def _outcome(message: bytes) -> Package:
    """Call the function in a message; return whether it succeeded, and its result or exception."""
    try:
        function, arguments = pickle.loads(message)  # noqa: S301
        return pack((True, function(*arguments)))
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> Package:
    try:
        package = pack((False, error))
        pickle.loads(package.content, buffers=package.arrays)  # noqa: S301
    except Exception:  # an exception that cannot be pickled
        return pack((False, RuntimeError(type(error).__name__)))
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

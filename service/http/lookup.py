"""A look-up that may hang, as of a database or a disk: whoever asks waits a bounded time."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")

WAIT_SECONDS = 2.0  # less than the time that Prometheus waits for an answer, 10 s by default
KEEP_SECONDS = 5.0  # so that nobody can load the database by asking often


class Lookup(Generic[T]):
    """The last value that a function returned. Asked by one thread.

    Parameters
    ----------
    function
        Called in a thread of its own, one call at a time.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._began = 0.0
        self._result: Future[T] | None = None

    def value(self) -> T | None:
        """Return the value, at most `KEEP_SECONDS` old; None if it cannot be had within `WAIT_SECONDS`."""
        if self._result is None or (self._result.done() and time.monotonic() - self._began > KEEP_SECONDS):
            self._began, self._result = time.monotonic(), Future()
            # The process can end while this thread hangs, as it could not with one of a pool.
            Thread(target=self._run, args=(self._result,), name="lookup", daemon=True).start()
        try:
            return self._result.result(max(0.0, self._began + WAIT_SECONDS - time.monotonic()))
        except Exception:  # a database error, or it still hangs
            return None

    def _run(self, result: Future[T]) -> None:
        try:
            result.set_result(self._function())
        except BaseException as error:
            result.set_exception(error)

"""Threads: waits for them that outlast a cancellation, and one that does not keep its process from ending.

A thread cannot be cancelled, and what it has written must not be forgotten.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThread(Executor):
    """A thread that makes one call after another. A process can end while it hangs, unlike one of a pool."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        Thread(target=self._serve, name=name, daemon=True).start()

    def submit(self, function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> Future[T]:
        """Make a call after those before it."""
        result: Future[T] = Future()
        self._calls.put(partial(_call, result, partial(function, *arguments, **keywords)))
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread after the calls so far; this returns at once."""
        self._calls.put(None)

    def _serve(self) -> None:
        while call := self._calls.get():
            call()
            del call  # and with it what it returned


def _call(result: Future[T], function: Callable[[], T]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        result.set_result(function())
    except BaseException as error:
        result.set_exception(error)


async def completed(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread, and return what it returns; a cancellation meanwhile is raised by the next await.

    With `asyncio.to_thread`, a task that is cancelled goes on while its thread still writes, or before it has begun.
    """
    call = asyncio.get_running_loop().run_in_executor(None, partial(copy_context().run, function, *arguments))
    await finished(call)
    return call.result()


async def finished(future: asyncio.Future[Any]) -> None:
    """Wait until a future is done; a cancellation meanwhile is raised by the next await."""
    task, was_cancelled = asyncio.current_task(), False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            was_cancelled = True
    if was_cancelled and task is not None:
        task.uncancel()  # the number of cancellations stays, by which `asyncio.timeout` knows its own
        task.cancel()

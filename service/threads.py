"""Waits that outlast a cancellation: a thread cannot be cancelled, and what it has written must not be forgotten."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


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

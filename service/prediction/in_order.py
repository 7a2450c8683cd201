"""Work on many files at a time, with the results in the order of the files."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
Result = TypeVar("Result")

_LISTED = 64  # files that are taken from the listing at once


async def in_order(
    work: Callable[[T], Awaitable[Result]], files: Iterable[T], at_once: int, waiting: int
) -> AsyncGenerator[Result, None]:
    """Yield what `work` returns for each file, in the order of the files.

    Parameters
    ----------
    files
        Listed in a thread, as they are needed; a listing may be slow.
    at_once
        Number of files that are worked on at a time.
    waiting
        Number of files that are begun, or whose results wait for an earlier file, at most.
    """
    listing, ahead, places = iter(files), deque[asyncio.Task[Result]](), asyncio.Semaphore(at_once)

    async def done(file: T) -> Result:
        async with places:
            return await work(file)

    try:
        while some := await asyncio.to_thread(lambda: list(islice(listing, _LISTED))):
            for file in some:
                ahead.append(asyncio.create_task(done(file)))
                if len(ahead) >= waiting:
                    yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:  # before the decoders are closed, which the tasks would report as errors of their files
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)

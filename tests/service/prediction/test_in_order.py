"""Many files at a time, in their order."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

from hypothesis import given, settings
from hypothesis import strategies as st

from service.prediction.in_order import in_order


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3), max_size=90), st.integers(1, 4), st.integers(1, 6))
def test_results_come_in_the_order_of_the_files_within_the_bounds(turns: list[int], at_once: int, waiting: int) -> None:
    now, most, begun, taken = 0, 0, 0, 0

    async def work(file: tuple[int, int]) -> int:
        nonlocal now, most, begun
        begun += 1
        now += 1
        most = max(most, now)
        assert begun - taken <= waiting
        for _ in range(file[1]):
            await asyncio.sleep(0)
        now -= 1
        return file[0]

    async def run() -> list[int]:
        nonlocal taken
        results = []
        async with aclosing(in_order(work, enumerate(turns), at_once, waiting)) as found:
            async for result in found:
                taken += 1
                results.append(result)
        return results

    assert asyncio.run(run()) == list(range(len(turns)))
    assert most <= at_once


def test_work_that_was_begun_has_ended_when_the_results_are_left() -> None:
    running: set[int] = set()

    async def work(file: int) -> int:
        running.add(file)
        try:
            await asyncio.sleep(0 if file == 0 else 60)
        finally:
            running.discard(file)
        return file

    def files() -> Iterator[int]:
        yield from range(10)

    async def first() -> int:
        async with aclosing(in_order(work, files(), 4, 8)) as found:
            return await anext(found)

    assert asyncio.run(first()) == 0
    assert not running

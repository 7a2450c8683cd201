"""Waits that outlast a cancellation."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path

import pytest

from service.threads import DaemonThread, completed, finished

NAME: ContextVar[str] = ContextVar("NAME", default="")


class Call:
    """A function that waits until it may go on."""

    def __init__(self) -> None:
        self.began, self.may_go_on, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, result: int | Exception) -> int:
        self.began.set()
        assert self.may_go_on.wait(20)
        self.ended.set()
        if isinstance(result, Exception):
            raise result
        return result


async def cancelled_during(call: Call, work: Callable[[], Awaitable[None]], times: int = 1) -> asyncio.Task[None]:
    """Run `work`, cancel it while `call` waits, and return the task, which has ended."""
    task = asyncio.ensure_future(work())
    await asyncio.to_thread(call.began.wait, 20)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    assert not task.done()
    call.may_go_on.set()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("times", [1, 3])
def test_a_cancellation_waits_for_the_call_and_is_raised_by_the_next_await(times: int) -> None:
    call, results = Call(), list[int]()

    async def work() -> None:
        results.append(await completed(call, 7))
        results.append(len(results))  # no await before it
        await asyncio.sleep(0)
        results.append(-1)

    task = asyncio.run(cancelled_during(call, work, times))

    assert results == [7, 1]
    assert task.cancelled()


def test_the_error_of_the_call_is_raised_before_the_cancellation() -> None:
    call, caught = Call(), list[Exception]()

    async def work() -> None:
        try:
            await completed(call, OSError(28, "full"))
        except OSError as error:
            caught.append(error)
        await asyncio.sleep(60)

    task = asyncio.run(cancelled_during(call, work))

    assert task.cancelled()
    assert len(caught) == 1


def test_a_timeout_that_expires_meanwhile_is_raised_as_one() -> None:
    call = Call()

    async def work() -> str:
        try:
            async with asyncio.timeout(0.01):
                threading.Timer(0.1, call.may_go_on.set).start()
                await completed(call, 7)
                await asyncio.sleep(60)
        except TimeoutError:
            return "timeout" if call.ended.is_set() else "too early"
        return "none"

    assert asyncio.run(work()) == "timeout"


def test_a_call_that_waits_for_a_thread_is_made_all_the_same() -> None:
    first, second = Call(), Call()

    async def both() -> None:
        with ThreadPoolExecutor(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            busy = asyncio.ensure_future(completed(first, 1))
            queued = asyncio.ensure_future(completed(second, 2))
            while not first.began.is_set():
                await asyncio.sleep(0.01)
            assert not second.began.is_set()
            queued.cancel()
            second.may_go_on.set()
            first.may_go_on.set()
            await asyncio.wait([busy, queued])

    asyncio.run(both())
    assert second.ended.is_set()


def test_the_call_has_the_context_of_the_task() -> None:
    async def work() -> str:
        NAME.set("here")
        return await completed(NAME.get)

    assert asyncio.run(work()) == "here"


def test_a_future_is_waited_for_although_its_error_is_not_raised() -> None:
    async def work() -> BaseException | None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError())
        await finished(future)
        return future.exception()

    assert isinstance(asyncio.run(work()), ValueError)


def test_a_daemon_thread_makes_its_calls_one_after_the_other() -> None:
    thread, call = DaemonThread("calls"), Call()
    first, second, third = (
        thread.submit(function, *given) for function, given in ((call, [1]), (abs, [-2]), (abs, "x"))
    )
    cancelled = thread.submit(call, 3)
    assert not second.done()
    assert cancelled.cancel()
    call.may_go_on.set()
    assert (first.result(20), second.result(20)) == (1, 2)
    with pytest.raises(TypeError):
        third.result(20)
    assert thread.submit(lambda: threading.current_thread().name).result(20) == "calls"
    last = thread.submit(threading.current_thread).result(20)
    thread.shutdown()
    last.join(20)
    assert not last.is_alive()


def test_a_process_ends_although_a_daemon_thread_hangs(root: Path) -> None:
    code = (
        "import threading; from service.threads import DaemonThread; DaemonThread('x').submit(threading.Event().wait)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60, check=False).returncode == 0

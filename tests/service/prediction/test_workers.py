"""Processes that die, hang or cannot start: every call ends, and the pool works on."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from service import metrics
from service.errors import MalformedDicom, Overloaded
from service.prediction import worker, workers
from service.prediction.plain_values import JobFailed
from service.prediction.worker import DeadlineExceeded, ProcessDied
from service.prediction.workers import Unavailable, Workers
from tests.service.metered import counted
from tests.service.prediction.pools import pool as pool_of_decoders


def nothing() -> None:
    """Initialise a process."""


@pytest.fixture
def pool() -> Iterator[Workers]:
    with closing(1) as pool:
        yield pool


class closing:  # noqa: N801
    """A pool that is closed at the end."""

    def __init__(self, count: int, initialise: Callable[[], None] = nothing) -> None:
        self.pool = Workers(count, (initialise,))

    def __enter__(self) -> Workers:
        return self.pool

    def __exit__(self, *_: object) -> None:
        self.pool.close()


def call(pool: Workers, function: Callable[..., object], *arguments: object, seconds: float = 30) -> object:
    return asyncio.run(pool.run(function, arguments, seconds))


def out_of_memory(*_: object) -> bytes:
    raise MemoryError


def kill_myself(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def die(folder: Path, *signals: signal.Signals) -> int:
    """Die of each signal in turn, once each, then return how often that was."""
    before = len(list(folder.iterdir()))
    if before == len(signals):
        return before
    (folder / str(before)).touch()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signals[before])
    time.sleep(60)
    raise AssertionError


def until(path: Path) -> None:
    """Keep a process busy until there is a file."""
    while not path.exists():
        time.sleep(0.01)


def mark_and_sleep(path: Path) -> None:
    path.touch()
    time.sleep(600)


# A process that dies...


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_job_whose_process_dies_once_is_done_in_another(
    pool: Workers, tmp_path: Path, number: signal.Signals
) -> None:
    assert call(pool, die, tmp_path, number) == 1
    assert call(pool, abs, -1) == 1


def test_a_result_that_could_not_be_read_is_not_given_to_the_next_job(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(pool, abs, 0)
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "recv_bytes", out_of_memory)
        with pytest.raises(MemoryError):
            call(pool, abs, -1)

    assert call(pool, abs, -2) == 2


@pytest.mark.parametrize(("first", "second"), [(9, 15), (11, 9), (9, 11)])
def test_a_job_whose_process_is_killed_may_be_sent_again(
    pool: Workers, tmp_path: Path, first: int, second: int
) -> None:
    with pytest.raises(Unavailable):
        call(pool, die, tmp_path, signal.Signals(first), signal.Signals(second))
    assert call(pool, die, tmp_path, signal.SIGKILL, signal.SIGKILL) == 2


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_job_that_crashes_two_processes_is_at_fault(pool: Workers, tmp_path: Path, number: signal.Signals) -> None:
    with pytest.raises(ProcessDied) as caught:
        call(pool, die, tmp_path, number, number)
    assert caught.value.crashed
    assert call(pool, abs, -1) == 1


@pytest.mark.parametrize("status", [0, 9])
def test_a_job_that_ends_its_process_is_at_fault(pool: Workers, status: int) -> None:
    with pytest.raises(ProcessDied):
        call(pool, os._exit, status)
    assert call(pool, abs, -1) == 1


def test_the_death_of_a_process_concerns_no_other_job(tmp_path: Path) -> None:
    async def both(pool: Workers) -> list[object]:
        jobs = (pool.run(os.getpid, (), 30), pool.run(die, (tmp_path, signal.SIGKILL, signal.SIGKILL), 30))
        return list(await asyncio.gather(*jobs, return_exceptions=True))

    with closing(2) as pool:
        number, death = asyncio.run(both(pool))
        assert isinstance(death, Unavailable)
        assert call(pool, os.getpid) == number


@pytest.mark.parametrize(
    ("reason", "count", "function", "arguments", "seconds"),
    [
        ("timeout", 1, time.sleep, (60,), 2),
        ("crashed", 2, os._exit, (9,), 30),
        ("crashed", 2, os.abort, (), 30),
        ("killed", 2, kill_myself, (signal.SIGKILL,), 30),
    ],
)
def test_a_process_that_is_replaced_counts_by_its_reason(
    pool: Workers, reason: str, count: int, function: Callable[..., object], arguments: tuple[object, ...], seconds: int
) -> None:
    call(pool, abs, -1)
    before = {name: replaced(name) for name in metrics.REPLACED}
    with pytest.raises((DeadlineExceeded, ProcessDied, Unavailable)):
        call(pool, function, *arguments, seconds=seconds)
    assert call(pool, abs, -1) == 1

    assert {name: replaced(name) - before[name] for name in metrics.REPLACED if replaced(name) - before[name]} == {
        reason: count
    }


def test_other_ends_of_a_process_are_counted(pool: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: replaced(name) for name in metrics.REPLACED}
    number = call(pool, os.getpid)
    assert isinstance(number, int)
    os.kill(number, signal.SIGKILL)  # while idle
    call(pool, abs, -1)

    async def leave() -> None:
        job = asyncio.create_task(pool.run(mark_and_sleep, (tmp_path / "begun",), 60))
        while not (tmp_path / "begun").exists():
            assert not job.done()
            await asyncio.sleep(0.01)
        job.cancel()
        await asyncio.wait([job])
        assert job.cancelled()

    asyncio.run(leave())
    deadline = time.monotonic() + 30
    while replaced("cancelled") == before["cancelled"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.setattr(worker, "START_SECONDS", 0.5)
    monkeypatch.setattr(pool, "_steps", (partial(time.sleep, 60),))
    with pytest.raises(Unavailable):
        call(pool, abs, -1)

    after = {name: replaced(name) - before[name] for name in metrics.REPLACED}
    assert after == {"timeout": 0, "crashed": 0, "killed": 1, "cancelled": 1, "start": 1}


def replaced(reason: str) -> float:
    return counted("triage_decoders_replaced_total", reason=reason)


def test_a_process_that_was_killed_while_idle_is_replaced_and_the_log_says_so(pool: Workers, log: StringIO) -> None:
    for _ in range(3):
        number = call(pool, os.getpid)
        assert isinstance(number, int)
        os.kill(number, signal.SIGKILL)
        assert call(pool, os.getpid) != number
    assert log.getvalue().count('"event": "decoder process replaced"') == 3


def test_the_reasons_for_an_answer_of_the_service(tmp_path: Path) -> None:
    decoders = pool_of_decoders(mode="off")  # `die` writes a file
    for number, kind, code in (
        (signal.SIGKILL, Overloaded, "decoder_unavailable"),
        (signal.SIGSEGV, MalformedDicom, "decoder_failed"),
    ):
        folder = tmp_path / number.name
        folder.mkdir()
        with pytest.raises(kind) as caught:
            asyncio.run(decoders._run(die, (folder, number, number)))
        assert caught.value.code == code
    decoders.close()


# ... that hangs...


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_process_that_is_stopped_at_work_is_killed_at_its_deadline(pool: Workers) -> None:
    call(pool, abs, -1)
    with pytest.raises(DeadlineExceeded):
        call(pool, stop, seconds=0.5)
    assert call(pool, abs, -1) == 1


def test_a_process_that_is_stopped_before_it_has_its_job_is_killed_at_its_deadline(pool: Workers) -> None:
    number = call(pool, os.getpid)
    assert isinstance(number, int)
    os.kill(number, signal.SIGSTOP)
    with pytest.raises(DeadlineExceeded):
        call(pool, len, bytes(2**24), seconds=0.5)  # more than a pipe holds
    assert call(pool, abs, -1) == 1


def test_a_timeout_that_a_function_raises_is_its_own(pool: Workers) -> None:
    with pytest.raises(TimeoutError):
        call(pool, raises, TimeoutError())


def test_a_job_that_waits_too_long_for_a_process_may_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(pool: Workers) -> None:
        first = asyncio.create_task(pool.run(until, (tmp_path / "go on",), 60))
        await asyncio.sleep(0)  # it waits for its process, by the usual bounds
        for name in ("QUEUE_SECONDS", "START_SECONDS"):
            monkeypatch.setattr(workers, name, 0.1)
        with pytest.raises(Unavailable):
            await pool.run(abs, (-1,), 0.1)
        assert not first.done()
        (tmp_path / "go on").touch()
        await first

    with closing(1) as pool:
        asyncio.run(two(pool))


def test_a_job_that_is_cancelled_while_it_waits_is_never_done(pool: Workers, tmp_path: Path) -> None:
    async def cancel() -> None:
        first = asyncio.create_task(pool.run(until, (tmp_path / "go on",), 60))
        second = asyncio.create_task(pool.run(Path.touch, (tmp_path / "done",), 30))
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.wait([second])
        (tmp_path / "go on").touch()
        await first

    asyncio.run(cancel())
    assert call(pool, abs, -1) == 1
    assert not (tmp_path / "done").exists()


def test_a_job_that_is_cancelled_while_its_process_starts_leaves_the_process_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    result = worker.Worker._result

    def noted(self: worker.Worker, *arguments: Any) -> object:
        started.append(1)
        return result(self, *arguments)

    monkeypatch.setattr(worker.Worker, "_result", noted)  # it is called at the start, and for each job

    async def cancel(pool: Workers) -> None:
        job = asyncio.create_task(pool.run(abs, (-1,), 30))
        while not started:
            await asyncio.sleep(0.01)
        job.cancel()
        await asyncio.wait([job])
        (tmp_path / "go on").touch()
        assert await pool.run(abs, (-2,), 30) == 2

    with closing(1, partial(until, tmp_path / "go on")) as pool:
        asyncio.run(cancel(pool))
    assert len(started) == 2


# ... or that does not start


def test_a_process_that_dies_at_its_start() -> None:
    with closing(1, partial(os._exit, 1)) as pool, pytest.raises(Unavailable):
        call(pool, abs, -1)


def test_a_process_that_takes_too_long_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "START_SECONDS", 0.5)
    with closing(1, partial(time.sleep, 60)) as pool, pytest.raises(Unavailable):
        call(pool, abs, -1)


# What comes back


class Stubborn(Exception):
    """Can be pickled, not unpickled."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(one + other)


def raises(error: Exception) -> None:
    raise error


def stubborn() -> None:
    raise Stubborn(1, 2)


def test_exceptions_come_back_as_themselves_where_they_can(pool: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        call(pool, divmod, 1, 0)
    with pytest.raises(JobFailed, match=r"^Stubborn$"):
        call(pool, stubborn)
    with pytest.raises(JobFailed, match="Error"):
        call(pool, eval, "lambda: 0")
    with pytest.raises(Exception, match="pickle"):
        call(pool, lambda: 0)
    assert call(pool, abs, -1) == 1


def test_closing_ends_the_job_in_progress_and_refuses_others() -> None:
    async def close() -> None:
        jobs = [asyncio.create_task(pool.run(time.sleep, (60,), 120)) for _ in range(3)]
        await asyncio.sleep(0.2)
        await asyncio.to_thread(pool.close)
        for job in jobs:
            with pytest.raises(RuntimeError, match="closed"):
                await job

    pool = Workers(2, (nothing,))
    call(pool, abs, -1)
    before = set(multiprocessing.active_children())
    asyncio.run(close())
    assert not before & set(multiprocessing.active_children())
    with pytest.raises(RuntimeError, match="closed"):
        call(pool, abs, -1)

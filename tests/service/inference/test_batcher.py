import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from service.errors import InferenceFailed, Overloaded
from service.inference import batcher as module
from service.inference.batcher import Batcher
from service.inference.session import Outputs, Session

CANVAS = (1, 2, 2)
BAD = -1.0


def canvas(value: float) -> np.ndarray:
    return np.full(CANVAS, value, np.float32)


class Echo:
    """A network whose fusion output is the canvas's value; waits until the gate is open, and fails on BAD."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def run(self, canvases: np.ndarray) -> list[Outputs]:
        values = canvases[:, 0, 0, 0].tolist()
        self.batches.append(values)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(60)
        if BAD in values:
            raise RuntimeError("secret")
        empty = np.zeros(0, np.float32)
        return [Outputs(np.array([value]), empty, empty, empty, empty, (0, 0, 1, 1)) for value in values]


def batches_of(
    scenario: Callable[[Batcher, Echo], Awaitable[None]], max_batch: int = 4, network: Any = None
) -> list[list[float]]:
    """Run a scenario with a started batcher, and return the batches that the network ran on."""
    echo = network or Echo()

    async def main() -> None:
        batcher = Batcher(echo, max_batch)
        batcher.start()
        try:
            await scenario(batcher, echo)
        finally:
            echo.gate.set()
            await batcher.close()

    asyncio.run(main())
    return list(echo.batches)


async def enqueue(batcher: Batcher, echo: Echo, values: list[float]) -> list[asyncio.Task[Any]]:
    """Predict 0, which occupies the network until the gate is opened, then `values`, which stay in the queue."""
    echo.gate.clear()
    tasks = [asyncio.create_task(batcher.predict(canvas(0)))]
    while not echo.batches:
        await asyncio.sleep(0.001)
    tasks += [asyncio.create_task(batcher.predict(canvas(value))) for value in values]
    await asyncio.sleep(0)
    return tasks


def test_a_free_network_runs_a_canvas_at_once() -> None:
    async def scenario(batcher: Batcher, echo: Echo) -> None:
        outputs, queue_ms, infer_ms = await batcher.predict(canvas(5))
        assert outputs.fusion.tolist() == [5]
        assert queue_ms >= 0
        assert infer_ms >= 0

    assert batches_of(scenario) == [[5]]


def test_queued_canvases_run_together_and_each_gets_its_own_outputs() -> None:
    async def scenario(batcher: Batcher, echo: Echo) -> None:
        tasks = await enqueue(batcher, echo, [1, 2, 3, 4, 5, 6])
        echo.gate.set()
        answers = await asyncio.gather(*tasks)
        assert [answer[0].fusion.item() for answer in answers] == [0, 1, 2, 3, 4, 5, 6]
        assert len(echo.threads) == 1
        assert echo.threads != {threading.main_thread().name}

    assert batches_of(scenario) == [[0], [1, 2, 3, 4], [5, 6]]


def test_a_bad_canvas_fails_alone() -> None:
    async def scenario(batcher: Batcher, echo: Echo) -> None:
        tasks = await enqueue(batcher, echo, [1, BAD, 3])
        echo.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[2], InferenceFailed)
        assert isinstance(answers[2].__cause__, RuntimeError)
        assert "secret" not in str(answers[2])
        assert [answers[n][0].fusion.item() for n in (0, 1, 3)] == [0, 1, 3]  # type: ignore[index]
        assert (await batcher.predict(canvas(9)))[0].fusion.item() == 9

    assert batches_of(scenario) == [[0], [1, BAD, 3], [1], [BAD], [3], [9]]


def test_a_cancelled_request_is_not_run() -> None:
    async def scenario(batcher: Batcher, echo: Echo) -> None:
        tasks = await enqueue(batcher, echo, [1, 2, 3])
        tasks[0].cancel()  # the network runs on it
        tasks[2].cancel()  # it is in the queue
        await asyncio.sleep(0)
        echo.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False, True, False]

    assert batches_of(scenario) == [[0], [1, 3]]


def test_a_request_to_a_network_that_hangs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)

    async def scenario(batcher: Batcher, echo: Echo) -> None:
        echo.gate.clear()
        answers = await asyncio.gather(*(batcher.predict(canvas(value)) for value in (1, 2)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Overloaded, Overloaded]
        echo.gate.set()
        monkeypatch.setattr(module, "ANSWER_SECONDS", 60)
        assert (await batcher.predict(canvas(3)))[0].fusion == 3

    assert batches_of(scenario) == [[1, 2], [3]]


def test_close_predicts_queued_canvases() -> None:
    async def scenario(batcher: Batcher, echo: Echo) -> None:
        tasks = await enqueue(batcher, echo, [1, 2])
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.predict(canvas(3))
        echo.gate.set()
        await closing
        assert [task.result()[0].fusion.item() for task in tasks] == [0, 1, 2]

    assert batches_of(scenario) == [[0], [1, 2]]


def test_close_leaves_a_run_alone_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAST_RUN_SECONDS", 0.05)

    async def main() -> None:
        echo = Echo()
        batcher = Batcher(echo, 4)
        batcher.start()
        tasks = await enqueue(batcher, echo, [1])
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.2)
        assert not closing.done()  # its requests may still be answered
        for task in tasks:
            task.cancel()
        try:
            async with asyncio.timeout(30):
                await closing
        finally:
            echo.gate.set()

    asyncio.run(main())


def test_predicting_before_the_start_raises_overloaded() -> None:
    async def main() -> None:
        batcher = Batcher(Echo(), 4)
        with pytest.raises(Overloaded):
            await batcher.predict(canvas(1))
        await batcher.close()

    asyncio.run(main())


def test_too_few_outputs_are_a_failure() -> None:
    class Short(Echo):
        def run(self, canvases: np.ndarray) -> list[Outputs]:
            return super().run(canvases)[1:]

    async def scenario(batcher: Batcher, echo: Echo) -> None:
        with pytest.raises(InferenceFailed, match="expected 1 outputs, got 0"):
            await batcher.predict(canvas(1))

    batches_of(scenario, network=Short())


def test_canvases_of_unequal_shape_fail_alone() -> None:
    async def scenario(batcher: Batcher, echo: Echo) -> None:
        tasks = await enqueue(batcher, echo, [1])
        tasks.append(asyncio.create_task(batcher.predict(np.zeros((1, 3, 3), np.float32))))
        await asyncio.sleep(0)
        echo.gate.set()
        answers = await asyncio.gather(*tasks)
        assert [answer[0].fusion.item() for answer in answers] == [0, 1, 0]

    assert batches_of(scenario) == [[0], [1], [0]]


def test_a_real_session_with_one_bad_canvas(session: Session, canvases: np.ndarray) -> None:
    async def main() -> None:
        batcher = Batcher(session, 8)
        batcher.start()
        bad = np.full_like(canvases[0], np.nan)
        answers = await asyncio.gather(
            *(batcher.predict(image) for image in [canvases[0], bad, canvases[1]]), return_exceptions=True
        )
        await batcher.close()
        assert isinstance(answers[1], InferenceFailed)
        assert [isinstance(answer, tuple) for answer in answers] == [True, False, True]

    asyncio.run(main())

"""The batcher: what waits while the network runs goes into its next run."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from service.errors import InferenceFailed, Overloaded
from service.inference.session import Outputs

ANSWER_SECONDS = 300.0  # waiting included; a run that hangs cannot be stopped, but nobody waits for it for ever


class Network(Protocol):
    """What `Session.run` does."""

    def run(self, canvases: np.ndarray) -> list[Outputs]:
        """Run on `[B, 1, S, S]`."""


Answer = tuple[Outputs, float, float]  # queue ms, network ms


@dataclass(frozen=True, eq=False)
class _Waiter:
    canvas: np.ndarray
    answer: asyncio.Future[Answer]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Gathers canvases of concurrent requests; belongs to one event loop.

    No canvas waits for others to come: a free network takes what there is. How many may wait, admission control bounds.
    One thread runs the network; ONNX Runtime lets go of the interpreter meanwhile.

    Parameters
    ----------
    max_batch
        Most canvases in one run.
    """

    def __init__(self, network: Network, max_batch: int) -> None:
        self._network = network
        self._max_batch = max_batch
        self._waiting: asyncio.Queue[_Waiter] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "inference")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve; call within the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def close(self) -> None:
        """Answer what waits, take nothing more, end the thread."""
        task, self._task = self._task, None
        if task is not None:
            await self._waiting.join()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._thread.shutdown()

    async def predict(self, canvas: np.ndarray) -> Answer:
        """Predict one canvas `[1, S, S]`; gives the prediction, ms spent waiting and ms in the network.

        Raises
        ------
        InferenceFailed
            The network did not answer, for this canvas.
        Overloaded
            Not started, closing, or no answer within `ANSWER_SECONDS`.
        """
        if self._task is None:
            raise Overloaded("the network is not running")
        waiter = _Waiter(canvas, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(waiter)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await waiter.answer
        except TimeoutError:
            raise Overloaded("the network did not answer in time; send the file again") from None

    async def _serve(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._answer([waiter for waiter in batch if not waiter.answer.done()])
            finally:
                for _ in batch:
                    self._waiting.task_done()

    async def _answer(self, batch: Sequence[_Waiter]) -> None:
        if not batch:
            return
        begun = time.perf_counter()
        try:
            predictions = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, batch)
        except Exception as error:
            await self._despair(batch, error)
            return
        spent = time.perf_counter() - begun
        for waiter, prediction in zip(batch, predictions, strict=True):
            if not waiter.answer.done():
                waiter.answer.set_result((prediction, (begun - waiter.since) * 1e3, spent * 1e3))

    def _run(self, batch: Sequence[_Waiter]) -> list[Outputs]:
        predictions = self._network.run(np.stack([waiter.canvas for waiter in batch]))
        if len(predictions) != len(batch):
            raise InferenceFailed(f"{len(predictions)} predictions for {len(batch)} canvases")
        return predictions

    async def _despair(self, batch: Sequence[_Waiter], error: Exception) -> None:
        if len(batch) > 1:  # one bad canvas must not spoil the others
            for waiter in batch:
                await self._answer([waiter])
        elif not batch[0].answer.done():
            failed = error if isinstance(error, InferenceFailed) else InferenceFailed(type(error).__name__)
            failed.__cause__ = error if failed is not error else None
            batch[0].answer.set_exception(failed)

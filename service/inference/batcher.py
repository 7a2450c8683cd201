"""The batcher: canvases that arrive while the network runs are predicted together in its next run."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from service import metrics
from service.errors import InferenceFailed, Overloaded
from service.inference.session import Outputs
from service.threads import DaemonThread

ANSWER_SECONDS = 300.0  # the wait in the queue included; requests give up on a run that hangs
_LAST_RUN_SECONDS = 5.0  # for a run that no request waits for any more, when the batcher is closed


class Network(Protocol):
    """The method of `Session` that a batcher uses."""

    def run(self, canvases: np.ndarray) -> list[Outputs]:
        """Return B outputs for `[B, 1, S, S] float32 in [0, 1]`."""


Timed = tuple[Outputs, float, float]  # outputs, ms in the queue, ms in the network


@dataclass(frozen=True, eq=False)
class _Request:
    canvas: np.ndarray  # [1, S, S] float32 in [0, 1]
    result: asyncio.Future[Timed]
    created: float = field(default_factory=time.perf_counter)


class Batcher:
    """Predicts canvases of concurrent requests in batches; belongs to one event loop.

    A canvas never waits for a batch to fill: when the network is free, it runs on all canvases in the queue. Admission
    control bounds the queue. One thread runs the network; ONNX Runtime releases the interpreter lock meanwhile.

    Parameters
    ----------
    max_batch
        Maximum number of canvases in one run.
    """

    def __init__(self, network: Network, max_batch: int) -> None:
        self._network = network
        self._max_batch = max_batch
        self._queue: asyncio.Queue[_Request] = asyncio.Queue()
        self._results = set[asyncio.Future[Timed]]()
        self._thread = DaemonThread("inference")  # a run that hangs keeps no process from its end
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Number of canvases in the queue."""
        return self._queue.qsize()

    def start(self) -> None:
        """Start; call within the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def close(self) -> None:
        """Refuse new canvases, predict those in the queue, and end the thread; a run that hangs is left alone."""
        task, self._task = self._task, None
        if task is not None:
            if self._results:
                await asyncio.wait(self._results)  # each request is answered, is cancelled, or gives up
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_RUN_SECONDS):
                    await self._queue.join()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._thread.shutdown()

    async def predict(self, canvas: np.ndarray) -> Timed:
        """Predict one canvas, `[1, S, S] float32 in [0, 1]`.

        Returns
        -------
        tuple
            Outputs of the network, milliseconds in the queue and milliseconds in the network.

        Raises
        ------
        InferenceFailed
            The network failed on this canvas.
        Overloaded
            The batcher is not started, is closed, or did not answer within `ANSWER_SECONDS`.
        """
        if self._task is None:
            raise Overloaded("the network is not running")
        request = _Request(canvas, asyncio.get_running_loop().create_future())
        self._results.add(request.result)
        request.result.add_done_callback(self._results.discard)
        self._queue.put_nowait(request)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await request.result
        except TimeoutError:
            raise Overloaded("the network did not answer in time; send the file again") from None

    async def _serve(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._max_batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._predict([request for request in batch if not request.result.done()])
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _predict(self, batch: Sequence[_Request]) -> None:
        if not batch:
            return
        start = time.perf_counter()
        try:
            outputs = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, batch)
        except Exception as error:
            await self._fail(batch, error)
            return
        network_ms = (time.perf_counter() - start) * 1e3
        metrics.BATCH_IMAGES.observe(len(batch))
        for request, output in zip(batch, outputs, strict=True):
            if not request.result.done():
                request.result.set_result((output, (start - request.created) * 1e3, network_ms))

    def _run(self, batch: Sequence[_Request]) -> list[Outputs]:
        outputs = self._network.run(np.stack([request.canvas for request in batch]))
        if len(outputs) != len(batch):
            raise InferenceFailed(f"expected {len(batch)} outputs, got {len(outputs)}")
        return outputs

    async def _fail(self, batch: Sequence[_Request], error: Exception) -> None:
        """Run each canvas of a failed batch on its own, so that only the bad one fails."""
        if len(batch) > 1:
            for request in batch:
                await self._predict([request])
        elif not batch[0].result.done():
            failure = error if isinstance(error, InferenceFailed) else InferenceFailed(type(error).__name__)
            failure.__cause__ = error if failure is not error else None
            batch[0].result.set_exception(failure)

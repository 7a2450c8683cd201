"""A back-fill by the nodes of a Ray cluster: Ray Data moves files and results, and does again what was lost.

All actors open source, destination and artefact themselves, so the artefact lies at the same path on every node. What
is done twice, because a node was lost, is written under the same name, or dropped by `Parts.settle`.
"""

import asyncio
import hashlib
import logging
import pickle
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from service.artefact.file import load
from service.backfill.delivery import Delivery, check_stores
from service.backfill.outcome import Outcome
from service.backfill.parts import ROWS, Parts
from service.backfill.table import Table
from service.backfill.work import Progress, Work
from service.errors import InferenceFailed, Overloaded, TriageError
from service.inference.session import proven_session
from service.prediction.decoder_settings import decoders
from service.prediction.interpreter import Interpreter
from service.settings import Settings
from service.telemetry import describe, log

_READ_AT_ONCE = 32  # files of one call of a reader, whose canvases are in memory together
_CORES_PER_NETWORK = 4  # the network takes a fifth of the time of an uncompressed file, and less of others
_DELIVERERS = 8  # each holds two connections to the database, and a decoder process
_DECODED_AT_ONCE = 2  # files, so that one is read while another is decoded

Batch = dict[str, Any]


def run(work: Work, references: Iterator[str], progress: Progress, address: str | None) -> None:
    """Predict files, and write a part for about every `ROWS` of them. Without files, Ray does not start.

    Parameters
    ----------
    address
        Address of the cluster; without one, Ray starts on this machine.

    Raises
    ------
    Overloaded
        `source_unavailable`
    TriageError
        `unwritable`; `cluster_failed`: Ray could not go on.
    """
    groups = _groups(references)
    if (first := next(groups, None)) is None:
        return
    check_stores(work)  # where a message of one line can say what is wrong
    # `local`: without an address, Ray would join a cluster of somebody else that it finds on this machine
    ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        with redirect_stdout(sys.stderr):  # Ray prints what it has lost
            for counts in _pipeline(work, chain([first], groups)).iter_batches(batch_size=None):
                progress.done += int(sum(counts["rows"]))
                progress.left += int(sum(counts["left"]))
    except RayError as error:
        raise _cause(error) from error
    finally:
        ray.shutdown()


def _pipeline(work: Work, groups: Iterator[list[str]]) -> ray.data.Dataset:
    """Return the counts of the parts that are written.

    Only readers claim cores, of which they use most. If networks did as well, they could hold all cores that are left
    once a node is lost, and no reader could start again.
    """
    blocks = [ray.put(pa.table({"file": names})) for names in groups]
    cores, gpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("CPU", "GPU"))
    has_gpu = work.settings.runtime.provider == "cuda"
    readers = ActorPoolStrategy(min_size=1, max_size=max(1, cores))
    networks = ActorPoolStrategy(min_size=1, max_size=max(1, gpus if has_gpu else cores // _CORES_PER_NETWORK))
    deliverers = ActorPoolStrategy(min_size=1, max_size=min(max(1, cores), _DELIVERERS))
    files = ray.data.from_arrow_refs(blocks)
    read = files.map_batches(
        Reader, batch_size=_READ_AT_ONCE, compute=readers, fn_constructor_args=(work,), num_cpus=1, zero_copy_batch=True
    )
    predicted = read.map_batches(
        Network,
        batch_size=work.settings.runtime.max_batch,
        compute=networks,
        fn_constructor_args=(work,),
        num_cpus=0,
        num_gpus=int(has_gpu),
        zero_copy_batch=True,
    )
    if work.delivers:
        predicted = predicted.map_batches(
            Deliverer, batch_size=_READ_AT_ONCE, compute=deliverers, fn_constructor_args=(work,), num_cpus=0
        )
    writer = ActorPoolStrategy(size=1)
    return predicted.map_batches(Writer, batch_size=ROWS, compute=writer, fn_constructor_args=(work,), num_cpus=0)


def _groups(references: Iterator[str]) -> Iterator[list[str]]:
    while names := list(islice(references, _READ_AT_ONCE)):
        yield names


def one_decoder(settings: Settings) -> Settings:
    """Return the settings with one decoder process, as each actor has one of its own."""
    return settings.model_copy(update={"limits": settings.limits.model_copy(update={"decode_workers": 1})})


class Reader:
    """Reads, accepts and decodes files, in a decoder process of its own."""

    def __init__(self, work: Work) -> None:
        self._source, self._table, self._limit = work.opened(), work.table, work.settings.limits.max_file_bytes
        model = work.settings.model
        self._rule, self._delivers = load(model.path, model.sha256).card.preprocessing, work.delivers
        self._decoders, self._loop = decoders(one_decoder(work.settings)), asyncio.Runner()

    def __call__(self, batch: Batch) -> Batch:
        """Return each file with its canvas, or with its row if it was refused, or with neither."""
        read = self._loop.run(self._read([str(name) for name in batch["file"]]))
        columns = ("canvas", "header", "digest", "row")
        return {"file": batch["file"]} | dict(zip(columns, map(list, zip(*read, strict=True)), strict=True))

    async def _read(self, names: list[str]) -> list[tuple[bytes, bytes, bytes, bytes]]:
        places = asyncio.Semaphore(_DECODED_AT_ONCE)

        async def prepared(name: str) -> tuple[bytes, bytes, bytes, bytes]:
            async with places:
                try:
                    data = await asyncio.to_thread(self._source.read, name, self._limit)
                    image = await self._decoders.prepare(data, self._rule.canvas_size, self._rule.resize)
                except Exception as error:  # one bad file does not stop the others
                    outcome = Outcome(name, error=error)
                    if outcome.stops:
                        raise
                    return b"", b"", b"", _packed(self._table, outcome)
            digest = hashlib.sha256(data).digest() if self._delivers else b""
            return image.canvas.tobytes(), pickle.dumps(image.header), digest, b""

        return await asyncio.gather(*map(prepared, names))


class Network:
    """Predicts canvases, on a GPU if it was given one."""

    def __init__(self, work: Work) -> None:
        self._interpreter, self._table, self._delivers = Interpreter(work.settings), work.table, work.delivers
        self._session = proven_session(self._interpreter.artefact, work.settings.runtime)

    def __call__(self, batch: Batch) -> Batch:
        """Return each file with its row, or with none if another attempt may give it one."""
        rows, records = [bytes(row) for row in batch["row"]], [b""] * len(batch["row"])
        places = [place for place, canvas in enumerate(batch["canvas"]) if len(canvas)]
        for place, outcome in zip(places, self._predict(batch, places), strict=False):
            rows[place] = _packed(self._table, outcome)
            records[place] = pickle.dumps(outcome.record) if self._delivers else b""
        return {"file": batch["file"], "digest": batch["digest"], "row": rows, "record": records}

    def _predict(self, batch: Batch, places: list[int]) -> Iterator[Outcome]:
        if not places:
            return
        size = self._interpreter.artefact.card.preprocessing.canvas_size
        canvases = np.stack([np.frombuffer(batch["canvas"][place], np.float32) for place in places])
        try:
            outputs = self._session.run(canvases.reshape(-1, 1, size, size))
        except InferenceFailed as error:
            log().error("a batch was not predicted", **describe(error))
            return
        for place, output in zip(places, outputs, strict=True):
            header = pickle.loads(batch["header"][place])  # noqa: S301 - from a reader of this cluster
            record = self._interpreter.record(header, output, header.timings_ms)
            yield Outcome(str(batch["file"][place]), record)


class Deliverer:
    """Reads predicted files again, stores their records, and sends their reports."""

    def __init__(self, work: Work) -> None:
        self._source, self._table, self._limit = work.opened(), work.table, work.settings.limits.max_file_bytes
        self._loop, pool = asyncio.Runner(), decoders(one_decoder(work.settings))
        self._delivery = Delivery(work, pool)

    def __call__(self, batch: Batch) -> Batch:
        """Return each file with its row, or with none if another attempt may give it one."""
        return {"file": batch["file"], "row": self._loop.run(self._rows(batch))}

    async def _rows(self, batch: Batch) -> list[bytes]:
        predicted = zip(batch["file"], batch["row"], batch["record"], batch["digest"], strict=True)
        return [
            await self._row(str(name), bytes(record), bytes(digest)) if record else bytes(row)
            for name, row, record, digest in predicted
        ]

    async def _row(self, name: str, record: bytes, digest: bytes) -> bytes:
        try:
            data = await asyncio.to_thread(self._source.read, name, self._limit)
            if hashlib.sha256(data).digest() != digest:
                raise Overloaded("the file has changed since it was predicted", "file_changed")
            outcome = Outcome(name, await self._delivery.deliver(pickle.loads(record), data))  # noqa: S301
        except Exception as error:  # one bad file does not stop the others
            outcome = Outcome(name, error=error)
            if outcome.stops:
                raise
        return _packed(self._table, outcome)


class Writer:
    """Writes parts."""

    def __init__(self, work: Work) -> None:
        self._parts = Parts(work.destination, work.table)

    def __call__(self, batch: Batch) -> Batch:
        """Write a part; return how many files have a row in it, and how many have none."""
        rows = [pickle.loads(row) for row in batch["row"] if len(row)]  # noqa: S301 - from a network of this cluster
        if rows:
            self._parts.put(rows, map(str, batch["file"]))
        return {"rows": [len(rows)], "left": [len(batch["file"]) - len(rows)]}


def _packed(table: Table, outcome: Outcome) -> bytes:
    """Return the row of a file, or nothing if another attempt may give it one."""
    return pickle.dumps(table.row(outcome)) if outcome.is_final else b""


def _cause(error: BaseException) -> TriageError:
    """Return the error of ours that Ray has wrapped, or one that names Ray's."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, TriageError):
        inner = getattr(inner, "cause", None) or inner.__cause__
    return inner or TriageError(f"the cluster failed: {type(error).__name__}", "cluster_failed")

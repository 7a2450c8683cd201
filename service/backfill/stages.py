"""The stages of a back-fill by a cluster: read and decode, predict, deliver. Each process of a node has one of them.

A batch is a dictionary of columns with one element for each file.
"""

import asyncio
import hashlib
import os
import pickle
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from service.artefact.file import load
from service.backfill.delivery import Delivery
from service.backfill.outcome import Outcome, log_without_row
from service.backfill.table import Table
from service.backfill.work import Work
from service.errors import InferenceFailed, Overloaded
from service.inference.session import proven_session
from service.prediction.decoder_settings import decoders
from service.prediction.interpreter import Interpreter
from service.settings import Settings

_DECODED_AT_ONCE = 2  # files, so that one is read while another is decoded

Batch = dict[str, Any]


def read(batch: Batch, work: bytes) -> Batch:
    """Read files by the reader of this process, which Ray uses for one task after another.

    Parameters
    ----------
    work
        The pickled `Work`.
    """
    return _reader(work)(batch)


@cache
def _reader(work: bytes) -> "Reader":
    return Reader(pickle.loads(work))  # noqa: S301 - from the command


class Reader:
    """Reads, accepts and decodes files, in a decoder process of its own."""

    def __init__(self, work: Work) -> None:
        self._source, self._table, self._limit = work.opened(), work.table, work.settings.limits.max_file_bytes
        model = work.settings.model
        self._rule, self._delivers = load(model.path, model.sha256).card.preprocessing, work.delivers
        self._decoders, self._loop = decoders(_one_decoder(work.settings)), asyncio.Runner()

    def __call__(self, batch: Batch) -> Batch:
        """Return each file with its canvas or, if it was refused, with its row or the code of its error."""
        found = self._loop.run(self._read([os.fsdecode(name) for name in batch["file"]]))
        columns = ("canvas", "header", "digest", "row")
        return {"file": batch["file"]} | dict(zip(columns, map(list, zip(*found, strict=True)), strict=True))

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

        files = [asyncio.ensure_future(prepared(name)) for name in names]
        try:
            return await asyncio.gather(*files)
        finally:  # if one of them stops the batch, the next does not do the others
            for file in files:
                file.cancel()
            await asyncio.gather(*files, return_exceptions=True)


class Network:
    """Predicts canvases, on a GPU if it was given one."""

    def __init__(self, work: Work) -> None:
        self._interpreter, self._table, self._delivers = Interpreter(work.settings), work.table, work.delivers
        self._session = proven_session(self._interpreter.artefact, work.settings.runtime)

    def __call__(self, batch: Batch) -> Batch:
        """Return each file with its row or, if another attempt may give it one, the code of its error."""
        rows, records = [bytes(row) for row in batch["row"]], [b""] * len(batch["row"])
        places = [place for place, canvas in enumerate(batch["canvas"]) if len(canvas)]
        for place, outcome in zip(places, self._predict(batch, places), strict=False):
            rows[place] = _packed(self._table, outcome)
            records[place] = pickle.dumps(outcome.record) if self._delivers and outcome.record else b""
        return {"file": batch["file"], "digest": batch["digest"], "row": rows, "record": records}

    def _predict(self, batch: Batch, places: list[int]) -> Iterator[Outcome]:
        if not places:
            return
        size = self._interpreter.artefact.card.preprocessing.canvas_size
        canvases = np.stack([np.frombuffer(batch["canvas"][place], np.float32) for place in places])
        try:
            outputs = self._session.run(canvases.reshape(-1, 1, size, size))
        except InferenceFailed as error:
            yield from (Outcome(os.fsdecode(batch["file"][place]), error=error) for place in places)
            return
        for place, output in zip(places, outputs, strict=True):
            header = pickle.loads(batch["header"][place])  # noqa: S301 - from a reader of this cluster
            record = self._interpreter.record(header, output, header.timings_ms)
            yield Outcome(os.fsdecode(batch["file"][place]), record)


class Deliverer:
    """Reads predicted files again, stores their records, and sends their reports."""

    def __init__(self, work: Work) -> None:
        self._source, self._table, self._limit = work.opened(), work.table, work.settings.limits.max_file_bytes
        self._loop, self._decoders = asyncio.Runner(), decoders(_one_decoder(work.settings))
        self._delivery = Delivery(work, self._decoders)

    def __call__(self, batch: Batch) -> Batch:
        """Return each file with its row or, if another attempt may give it one, the code of its error."""
        return {"file": batch["file"], "row": self._loop.run(self._rows(batch))}

    def close(self) -> None:
        """Close the database, the storage and the decoder process. A process of Ray ends without it."""
        self._delivery.close()
        self._decoders.close()
        self._loop.close()

    async def _rows(self, batch: Batch) -> list[bytes]:
        predicted = zip(batch["file"], batch["row"], batch["record"], batch["digest"], strict=True)
        return [
            await self._row(os.fsdecode(name), bytes(record), bytes(digest)) if record else bytes(row)
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


def _packed(table: Table, outcome: Outcome) -> bytes:
    """Return the row of a file or, if another attempt may give it one, the code of its error."""
    if outcome.is_final:
        return pickle.dumps(table.row(outcome))
    log_without_row(outcome)
    return pickle.dumps(outcome.code)


def _one_decoder(settings: Settings) -> Settings:
    """Return the settings with one decoder process, as each process has one of its own."""
    return settings.model_copy(update={"limits": settings.limits.model_copy(update={"decode_workers": 1})})

"""A back-fill by the processes of this machine alone."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from functools import partial

from service.backfill.delivery import Delivery
from service.backfill.outcome import Outcome, log_without_row
from service.backfill.parts import Part, Parts
from service.backfill.work import Progress, Source, Work
from service.prediction.decoder_settings import decoder_count
from service.prediction.in_order import in_order
from service.prediction.predictor import Predictor
from service.threads import completed

_IN_WORK = 3  # files in memory for each decoder process: one is read, one decoded, and one in the network
_WAITING = 32  # outcomes for each decoder process that may wait for an earlier file


async def run(work: Work, references: Iterator[str], progress: Progress) -> None:
    """Predict files, and write a part for every `ROWS` of them and, however it ends, for the last ones.

    Raises
    ------
    ArtefactError, ConfigurationError
    Overloaded
        `source_unavailable`
    TriageError
        `unwritable`
    """
    predictor, workers = Predictor(work.settings), decoder_count(work.settings.limits)
    part = Part(Parts(work.destination, work.table))
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_IN_WORK * workers + 1, "read"))
    async with predictor.running():
        source = work.opened()
        delivery = await asyncio.to_thread(Delivery, work, predictor.decoders)
        predict = partial(_outcome, predictor, delivery, source)
        try:
            async with aclosing(in_order(predict, references, _IN_WORK * workers, _WAITING * workers)) as outcomes:
                async for outcome in outcomes:
                    if outcome.stops:
                        raise outcome.stops
                    progress.add(outcome)
                    if outcome.is_final:
                        part.add(outcome.reference, work.table.row(outcome))
                    else:
                        log_without_row(outcome)
                    if part.is_complete:
                        await completed(part.write)
        finally:
            with closing(delivery):
                part.write()


async def _outcome(predictor: Predictor, delivery: Delivery, source: Source, name: str) -> Outcome:
    try:
        data = await asyncio.to_thread(source.read, name, predictor.max_file_bytes)
        record = await predictor.infer(await predictor.prepare(data))
        return Outcome(name, await delivery.deliver(record, data))
    except Exception as error:  # one bad file does not stop the others
        return Outcome(name, error=error)

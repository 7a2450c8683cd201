"""What a back-fill does with a predicted file: it stores the record, and sends the report."""

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from secrets import token_hex

import numpy as np
import pytest
from pydicom import dcmread

from service.backfill import delivery, reports
from service.backfill.delivery import Delivery
from service.backfill.outcome import Outcome
from service.backfill.table import Table
from service.backfill.work import Work
from service.destinations import Destination
from service.errors import Conflict, Overloaded, TriageError
from service.prediction.decoder_settings import decoders
from service.prediction.decoders import Decoders
from service.settings import Settings, Storage
from service.storage.filters import Filters
from service.storage.record import Record
from service.storage.records import Records
from service.storage.url import database_url
from service.storage.worklist import Entry, Worklist
from tests.factories import dicom_bytes, noise
from tests.service.records import record

PACS = Destination(name="pacs", url="http://127.0.0.1:9/dicom-web")
DATA = dicom_bytes(noise(), SOPInstanceUID="2.25.1")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(storage=Storage(folder=tmp_path / "storage"))


@pytest.fixture
def pool(settings: Settings) -> Iterator[Decoders]:
    with decoders(settings) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_PAUSES", (0.0, 0.0))


def work(settings: Settings, report_to: Destination | None = None, stores: bool = False) -> Work:
    return Work(settings, "archive", "table", Table(("Mass",), "a" * 64), report_to=report_to, stores=stores)


def unsaved(data: bytes, pool: Decoders) -> Record:
    """Return the record that a prediction of a file would give."""
    header = asyncio.run(pool.prepare(data, 64, "stretch")).header
    names = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "attributes", "display_sha256")
    values = {name: getattr(header, name) for name in names}
    return reports.identified(record(**values, instance_file="", instance_bytes=0))


def entries(settings: Settings) -> tuple[Entry, ...]:
    records = Records(database_url(settings))
    records.open()
    try:
        return Worklist(records.database).page(Filters(), 10, None)[0]
    finally:
        records.close()


def test_a_record_is_stored_once_with_its_file(settings: Settings, pool: Decoders) -> None:
    made = unsaved(DATA, pool)
    for _ in range(2):  # by another run, if the first was killed
        deliverer = Delivery(work(settings, stores=True), pool)
        stored = asyncio.run(deliverer.deliver(made, DATA))
        deliverer.close()
        assert stored.id == made.id
    [entry] = entries(settings)
    assert (entry.record.id, entry.read_at is None) == (made.id, False)
    [file] = (settings.storage.folder / "instances").rglob("*.dcm*")
    assert (file.name, file.read_bytes()) == (stored.instance_file, DATA)


def test_a_newer_artefact_has_a_record_of_the_image_in_another_encoding(settings: Settings, pool: Decoders) -> None:
    pixels, window = noise(), {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    shifted = {"PixelRepresentation": 1, "RescaleIntercept": 2048, "RescaleSlope": 1}
    first = dicom_bytes(pixels, SOPInstanceUID="2.25.2", **window)
    signed = dicom_bytes((pixels.astype(np.int16) - 2048), SOPInstanceUID="2.25.2", **window, **shifted)
    ids = []
    for data, artefact in ((first, "a" * 64), (signed, "b" * 64)):
        newer = replace(work(settings, stores=True), table=Table(("Mass",), artefact))
        deliverer = Delivery(newer, pool)
        made = replace(unsaved(data, pool), artefact_sha256=artefact)
        ids.append(asyncio.run(deliverer.deliver(made, data)).id)
        deliverer.close()
    [entry] = entries(settings)
    assert ids[0] != ids[1] == entry.record.id


def test_the_same_uid_with_other_values_is_a_conflict(settings: Settings, pool: Decoders) -> None:
    deliverer, other = Delivery(work(settings, stores=True), pool), dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.1")
    asyncio.run(deliverer.deliver(unsaved(DATA, pool), DATA))
    with pytest.raises(Conflict):
        asyncio.run(deliverer.deliver(unsaved(other, pool), other))
    deliverer.close()
    assert len(entries(settings)) == 1


def test_the_report_is_that_of_the_record_which_was_there_before(
    settings: Settings, pool: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, sent = unsaved(DATA, pool), list[bytes]()

    async def send(_: Destination, report: bytes) -> None:
        sent.append(report)

    monkeypatch.setattr(delivery, "send", send)
    for stores in (True, True, False, False):  # each by another run, whose predictions have ids of their own
        deliverer = Delivery(work(settings, PACS, stores=stores), pool)
        asyncio.run(deliverer.deliver(replace(made, id=token_hex(16)), DATA))
        deliverer.close()
    uids = [dcmread(BytesIO(report)).SOPInstanceUID for report in sent]
    assert uids[0] == uids[1] != uids[2] == uids[3]


def test_what_would_fail_for_every_file_ends_the_run(settings: Settings, pool: Decoders) -> None:
    secret = settings.storage.folder / "token"
    unreadable = Destination(name="pacs", url="http://127.0.0.1:9/dicom-web", bearer_token_file=secret)
    with pytest.raises(TriageError, match="not delivered: destination pacs") as caught:
        asyncio.run(Delivery(work(settings, unreadable), pool).deliver(unsaved(DATA, pool), DATA))
    assert Outcome("a", error=caught.value).stops

    deliverer = Delivery(work(settings, stores=True), pool)
    deliverer.close()  # as if the database had gone
    with sqlite3.connect(settings.storage.folder / "triage.sqlite") as connection:
        connection.execute("DROP TABLE predictions")
    with pytest.raises(TriageError, match="not stored: the database does not answer") as caught:
        asyncio.run(deliverer.deliver(unsaved(DATA, pool), DATA))
    connection.close()
    assert Outcome("a", error=caught.value).stops


@pytest.mark.parametrize(("failures", "taken"), [(0, True), (2, True), (3, False)])
def test_what_is_not_taken_is_tried_three_times(failures: int, taken: bool) -> None:
    calls: list[int] = []

    async def attempt() -> str:
        calls.append(1)
        if len(calls) <= failures:
            raise Overloaded("no")
        return "taken"

    if taken:
        assert asyncio.run(delivery._tried(attempt)) == "taken"
    else:
        with pytest.raises(Overloaded):
            asyncio.run(delivery._tried(attempt))
    assert len(calls) == min(failures + 1, 3)

"""Records of old radiographs, which a back-fill adds, beside those that readers wait for."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from service.storage import saving
from service.storage.changes import Changes
from service.storage.entries import BACKFILL
from service.storage.filters import Filters
from service.storage.outbox import Order, Outbox
from service.storage.record import Record
from service.storage.records import Records
from service.storage.worklist import Entry, Worklist
from tests.service.storage.conftest import Make, on_postgresql

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SR = Order("pacs", "sr")


def entries(records: Records) -> list[Entry]:
    return list(Worklist(records.database).page(Filters(), 10, None)[0])


def marks(records: Records) -> list[tuple[str, bool, str]]:
    return [(entry.record.id, entry.read_at is None, entry.read_by) for entry in entries(records)]


def orders(records: Records, record: Record) -> list[str]:
    return [delivery.destination for delivery in Outbox(records.database).list(record.id)]


def test_an_old_radiograph_is_read_and_is_announced_to_nobody(records: Records, make: Make) -> None:
    saved = records.save(make(), [SR], backfilled=True)

    assert marks(records) == [(saved.id, False, BACKFILL)]
    assert entries(records)[0].read_at == saved.created
    assert Worklist(records.database).counts(Filters()).unread["STAT"] == 0
    assert Changes(records.database).latest() == 0
    assert orders(records, saved) == []


@pytest.mark.parametrize("found_first", [True, False])
def test_it_waits_for_readers_once_it_arrives(found_first: bool, records: Records, make: Make) -> None:
    saved = records.save(make(), backfilled=True)
    for _ in range(2):
        if found_first:
            records.arrive(saved, [SR])
        else:  # the service looked for it before the back-fill had saved it
            assert records.save(make(), [SR]).id == saved.id

    assert marks(records) == [(saved.id, True, "")]
    assert [(change.kind, change.id) for change in Changes(records.database).after(0)] == [("new", saved.id)]
    assert orders(records, saved) == ["pacs"]


def test_it_has_the_time_of_its_arrival(records: Records, make: Make) -> None:
    saved = records.save(make(created=NOON), backfilled=True)
    before = datetime.now(UTC)
    records.arrive(saved, [])

    [entry] = entries(records)
    assert before <= entry.record.created <= datetime.now(UTC)  # so it is not purged as an old one, and waits from now
    assert records.get(saved.id).created == entry.record.created
    assert Worklist(records.database).counts(Filters()).oldest_stat == entry.record.created


@on_postgresql
def test_a_back_fill_by_a_newer_artefact_waits_for_an_arrival(records: Records, make: Make) -> None:
    first = records.save(make(created=NOON), backfilled=True)
    with ThreadPoolExecutor(1) as pool:
        with records.database.write() as connection:
            saving.arrive(connection, first, [])
            newer = make(created=datetime.now(UTC) + timedelta(hours=1), artefact_sha256="b" * 64)
            second = pool.submit(records.save, newer, (), True)
            time.sleep(0.3)  # it looks whether the entry is read only once the arrival is committed
            assert not second.done()
        newest = second.result(30)
    assert marks(records) == [(newest.id, True, "")]


def test_it_takes_the_place_of_what_a_back_fill_by_a_newer_artefact_has_added(records: Records, make: Make) -> None:
    first = records.save(make(created=NOON), backfilled=True)
    records.save(make(created=NOON + timedelta(hours=1), artefact_sha256="b" * 64), backfilled=True)
    records.arrive(first, [])

    assert marks(records) == [(first.id, True, "")]


def test_what_a_reader_has_read_since_stays_read(records: Records, make: Make) -> None:
    saved = records.save(make(), backfilled=True)
    Worklist(records.database).mark(saved.id, True, "Ann")
    assert marks(records) == [(saved.id, False, "Ann")]

    records.arrive(saved, [SR])
    assert marks(records) == [(saved.id, False, "Ann")]


def test_an_object_that_was_sent_before_is_sent_again_when_it_arrives(records: Records, make: Make) -> None:
    saved, outbox = records.save(make(), backfilled=True), Outbox(records.database)
    outbox.add(saved.id, [SR])

    records.arrive(saved, [SR])
    assert orders(records, saved) == ["pacs"]


@pytest.mark.parametrize("is_read", [False, True])
def test_a_newer_artefact_hides_nothing_that_is_unread(is_read: bool, records: Records, make: Make) -> None:
    first = records.save(make(created=NOON))
    if is_read:
        Worklist(records.database).mark(first.id, True, "Ann")
    tick = Changes(records.database).latest()
    second = records.save(make(created=NOON + timedelta(hours=1), artefact_sha256="b" * 64), backfilled=True)

    assert marks(records) == [(second.id, not is_read, BACKFILL if is_read else "")]
    assert [change.id for change in Changes(records.database).after(tick)] == [] if is_read else [second.id]


def test_a_back_fill_changes_nothing_of_a_record_that_is_there(records: Records, make: Make) -> None:
    first = records.save(make())
    again = records.save(make(), backfilled=True)

    assert again.id == first.id
    assert marks(records) == [(first.id, True, "")]

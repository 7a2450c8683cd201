"""A result is acknowledged once, by a person or by its read mark, and every page is told."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command

from service.errors import NotFound
from service.storage.changes import Changes
from service.storage.migration import migrations
from service.storage.outbox import Order
from service.storage.records import Records
from service.storage.worklist import Worklist
from tests.service.storage.conftest import Make

ALERT = Order("pager", "fhir", alert=True)


@pytest.fixture
def worklist(records: Records) -> Worklist:
    return Worklist(records.database)


@pytest.fixture
def id(records: Records, make: Make) -> str:
    return records.save(make(), [ALERT]).id


def kinds(records: Records) -> list[str]:
    return [change.kind for change in Changes(records.database).after(0)]


def test_it_has_name_and_time_and_a_second_one_changes_nothing(worklist: Worklist, records: Records, id: str) -> None:
    before = datetime.now(UTC)
    assert worklist.get(id).acknowledgement.requested

    first = worklist.acknowledge(id, "AB").acknowledgement
    second = worklist.acknowledge(id, "CD").acknowledgement

    assert first.at is not None
    assert before <= first.at <= datetime.now(UTC)
    assert (first.by, first.requested) == ("AB", True)
    assert second == first == worklist.get(id).acknowledgement
    assert worklist.get(id).read_at is None
    assert kinds(records) == ["new", "acknowledged"]


def test_a_result_without_an_alert_can_be_acknowledged(worklist: Worklist, records: Records, make: Make) -> None:
    id = records.save(make(), [Order("pacs", "sr")]).id

    assert not worklist.get(id).acknowledgement.requested
    assert worklist.acknowledge(id, "AB").acknowledgement.by == "AB"


def test_a_read_mark_acknowledges_and_its_removal_does_not_take_that_back(worklist: Worklist, id: str) -> None:
    worklist.mark(id, True, "AB")
    entry = worklist.mark(id, False, "CD")

    assert entry.read_at is None
    assert (entry.acknowledgement.by, entry.acknowledgement.requested) == ("AB", True)


def test_a_read_mark_keeps_an_earlier_acknowledgement(worklist: Worklist, id: str) -> None:
    first = worklist.acknowledge(id, "AB").acknowledgement

    assert worklist.mark(id, True, "CD").acknowledgement == first


def test_of_concurrent_persons_one_acknowledges(worklist: Worklist, records: Records, id: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: worklist.acknowledge(id, name).acknowledgement, "abcdefgh"))

    assert len(set(answers)) == 1
    assert kinds(records).count("acknowledged") == 1


@pytest.mark.parametrize("id", ["0" * 32, "x", ""])
def test_an_unknown_id_is_not_found(worklist: Worklist, id: str) -> None:
    with pytest.raises(NotFound):
        worklist.acknowledge(id, "AB")


def test_results_that_were_read_before_the_migration_are_acknowledged(
    worklist: Worklist, records: Records, make: Make
) -> None:
    read, unread = (records.save(make(sop_instance_uid=f"1.{n}", display_sha256=f"{n:064d}")).id for n in (1, 2))
    worklist.mark(read, True, "AB")
    with records.database.write() as connection:
        command.downgrade(migrations(connection), "0005")
        assert "acknowledged_at" not in {column["name"] for column in sa.inspect(connection).get_columns("worklist")}

    with records.database.write() as connection:
        command.upgrade(migrations(connection), "head")

    first, second = (worklist.get(id) for id in (read, unread))
    assert (first.acknowledgement.at, first.acknowledgement.by) == (first.read_at, "AB")
    assert (second.acknowledgement.at, second.acknowledgement.by) == (None, "")

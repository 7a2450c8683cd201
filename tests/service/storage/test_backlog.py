"""What waits in the outbox, of each destination."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from service.objects.kinds import Kind
from service.storage import backlog
from service.storage.backlog import Backlog, backlogs
from service.storage.outbox import Order, Outbox
from service.storage.records import Records
from service.storage.tables import OUTBOX
from tests.service.storage.conftest import Make

LEASE, LATER = timedelta(minutes=5), timedelta(hours=1)
NOTHING = Backlog(0, None)


@pytest.fixture
def outbox(records: Records) -> Outbox:
    return Outbox(records.database)


def order(records: Records, make: Make, number: int, *orders: Order) -> None:
    records.save(make(sop_instance_uid=f"1.2.{number}", display_sha256=f"{number:064x}"), orders)


def age(records: Records, destination: str, hours: int) -> datetime:
    """Move the orders of a destination into the past; return when they were placed then."""
    ordered = datetime.now(UTC) - timedelta(hours=hours)
    with records.database.write() as connection:
        connection.execute(sa.update(OUTBOX).where(OUTBOX.c.destination == destination).values(ordered=ordered))
    return ordered


def test_waiting_orders_are_counted_for_each_destination(records: Records, make: Make) -> None:
    order(records, make, 1, Order("pacs", Kind.SR), Order("pacs", Kind.SEGMENTATION), Order("ris", Kind.HL7))
    order(records, make, 2, Order("pacs", Kind.SR))
    since = age(records, "pacs", 3)

    waiting = backlogs(records.database, ["pacs", "ris", "pager"])

    assert {name: each.waiting for name, each in waiting.items()} == {"pacs": 3, "ris": 1, "pager": 0}
    assert waiting["pacs"].oldest == since
    assert waiting["pager"] == NOTHING
    assert backlogs(records.database, []) == {}


def test_what_was_sent_or_given_up_waits_no_longer(records: Records, make: Make, outbox: Outbox) -> None:
    order(records, make, 1, Order("pacs", Kind.SR), Order("pacs", Kind.SEGMENTATION))
    for state in ("sent", "failed"):
        claimed = outbox.claim("pacs", LEASE)
        assert claimed is not None
        outbox.finish(claimed, state)  # type: ignore[arg-type]

    assert backlogs(records.database, ["pacs"]) == {"pacs": NOTHING}


def test_a_failed_attempt_keeps_its_age(records: Records, make: Make, outbox: Outbox) -> None:
    order(records, make, 1, Order("pacs", Kind.SR))
    since = age(records, "pacs", 3)
    claimed = outbox.claim("pacs", LEASE)
    assert claimed is not None
    outbox.put_off(claimed, LATER, "unreachable")

    assert backlogs(records.database, ["pacs"]) == {"pacs": Backlog(1, since)}


def test_an_alert_that_repeats_does_not_wait(records: Records, make: Make, outbox: Outbox) -> None:
    order(records, make, 1, Order("pager", Kind.NOTIFICATION, alert=True))
    claimed = outbox.claim("pager", LEASE)
    assert claimed is not None
    outbox.repeat(claimed, LATER)

    assert backlogs(records.database, ["pager"]) == {"pager": NOTHING}


def test_an_escalation_is_not_late_before_its_time(records: Records, make: Make) -> None:
    order(records, make, 1, Order("chief", Kind.NOTIFICATION, alert=True, delay=LATER))

    assert backlogs(records.database, ["chief"]) == {"chief": Backlog(1, None)}


def test_no_more_are_counted_than_the_bound(records: Records, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MOST_COUNTED", 2)
    order(records, make, 1, *(Order("pacs", kind) for kind in (Kind.SR, Kind.SEGMENTATION, Kind.SECONDARY_CAPTURE)))

    assert backlogs(records.database, ["pacs"])["pacs"].waiting == 2

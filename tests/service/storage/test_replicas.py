"""Several replicas on one PostgreSQL: they claim different orders at once, in order, and do not block each other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Barrier
from time import monotonic

import pytest
import sqlalchemy as sa

from service.dicom.grid import Grid
from service.errors import NotFound
from service.objects.kinds import Kind
from service.storage.measurements import Measurements
from service.storage.opinions import Opinions
from service.storage.outbox import Order, Outbox
from service.storage.records import Records
from service.storage.tables import OUTBOX
from service.storage.worklist import Worklist
from tests.service.records import finding
from tests.service.storage.conftest import Make, on_postgresql

pytestmark = on_postgresql

LEASE = timedelta(minutes=5)
SR, MAP, MESSAGE = Order("pacs", Kind.SR), Order("pacs", Kind.SEGMENTATION), Order("board", Kind.HL7)
ALERT = Order("pager", Kind.NOTIFICATION, alert=True)
STUDIES = tuple(enumerate(("1.1", "1.2", "1.3")))
GRID = Grid(rows=100, columns=100, aspect=1.0, spacing=None, spacing_from=None)
SECONDS = 20  # more than any of it takes, less than a wait for a lock


@pytest.fixture
def replicas(url: str) -> Iterator[tuple[Records, ...]]:
    """Yield four, each with connections of its own."""
    opened = tuple(Records(url) for _ in range(4))
    for each in opened:
        each.open()
    yield opened
    for each in opened:
        each.close()


@pytest.fixture
def outboxes(replicas: tuple[Records, ...]) -> tuple[Outbox, ...]:
    return tuple(Outbox(each.database) for each in replicas)


def save(records: Records, make: Make, number: int, *orders: Order, study: str = "1.2.3") -> str:
    values = {"sop_instance_uid": f"1.9.{number}", "display_sha256": f"{number:064d}", "study_instance_uid": study}
    return records.save(make(**values), orders).id


class TestClaim:
    def test_each_order_is_claimed_once(
        self, replicas: tuple[Records, ...], outboxes: tuple[Outbox, ...], make: Make
    ) -> None:
        ids = {save(replicas[0], make, number, SR) for number in range(60)}
        start = Barrier(len(outboxes))

        def claim_all(outbox: Outbox) -> list[str]:
            start.wait(SECONDS)
            claimed = []
            while (delivery := outbox.claim("pacs", LEASE)) is not None:
                assert delivery.attempts == 1
                claimed.append(delivery.prediction_id)
            return claimed

        with ThreadPoolExecutor(len(outboxes)) as pool:
            claimed = [id for share in pool.map(claim_all, outboxes) for id in share]

        assert sorted(claimed) == sorted(ids)

    def test_an_order_that_another_replica_is_claiming_is_passed_over(
        self, replicas: tuple[Records, ...], outboxes: tuple[Outbox, ...], make: Make
    ) -> None:
        save(replicas[0], make, 0, SR, MAP)
        first = sa.select(OUTBOX.c.object).order_by(OUTBOX.c.due).limit(1).with_for_update()
        with ThreadPoolExecutor(1) as pool, replicas[1].database.write() as connection:
            locked = connection.scalar(first)
            claimed = pool.submit(outboxes[0].claim, "pacs", LEASE).result(SECONDS)
            assert claimed is not None
            assert {locked, claimed.object} == {Kind.SR, Kind.SEGMENTATION}
            assert pool.submit(outboxes[0].claim, "pacs", LEASE).result(SECONDS) is None

        released = outboxes[2].claim("pacs", LEASE)
        assert released is not None
        assert released.object == locked

    def test_messages_of_a_study_are_sent_in_their_order(
        self, replicas: tuple[Records, ...], outboxes: tuple[Outbox, ...], make: Make
    ) -> None:
        ordered = [
            (study, save(replicas[0], make, 3 * number + place, MESSAGE, study=study))
            for number in range(8)
            for place, study in STUDIES
        ]
        sent: list[tuple[str, str]] = []

        def send(outbox: Outbox) -> None:
            end = monotonic() + 10 * SECONDS  # for all messages, one after another
            while len(sent) < len(ordered) and monotonic() < end:
                if (delivery := outbox.claim("board", LEASE)) is not None:
                    sent.append((delivery.study_instance_uid, delivery.prediction_id))
                    outbox.finish(delivery, "sent")

        with ThreadPoolExecutor(len(outboxes)) as pool:
            list(pool.map(send, outboxes))

        assert len(sent) == len(ordered)
        for _, study in STUDIES:
            assert [pair for pair in sent if pair[0] == study] == [pair for pair in ordered if pair[0] == study]


def test_work_on_a_record_and_its_deletion_do_not_deadlock(replicas: tuple[Records, ...], make: Make) -> None:
    """PostgreSQL ends one of two transactions that wait for each other; the service would answer 503."""
    one, two, three, four = (each.database for each in replicas)
    findings = (finding("Mass", positive=True),)
    for number in range(15):
        stat = make(sop_instance_uid=f"1.{number}", findings=findings, priority="STAT")
        id = replicas[0].save(stat, [ALERT, SR]).id
        other = replicas[0].save(make(sop_instance_uid=f"1.{number}", artefact_sha256="b" * 64), [ALERT]).id
        work: list[Callable[[], object]] = [
            partial(Worklist(one).acknowledge, id, "AB"),
            partial(Opinions(two).give, id, "Mass", "agree", "AB"),
            partial(replicas[2].delete, id),
            partial(Outbox(four).add, id, [MAP]),
            partial(Measurements(one).add, id, "length", ((1, 1), (2, 2)), GRID, "AB"),
            partial(Worklist(three).mark, other, True, "AB"),
            partial(Outbox(two).claim, "pager", LEASE),
            partial(replicas[3].delete, other),
        ]
        with ThreadPoolExecutor(len(work)) as pool:
            for done in [pool.submit(each) for each in work]:
                with suppress(NotFound):
                    done.result(SECONDS)

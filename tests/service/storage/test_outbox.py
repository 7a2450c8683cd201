"""Orders are kept, taken once, tried again, and end."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from service.errors import NotFound, Overloaded
from service.storage.outbox import Order, Outbox
from service.storage.records import Records
from tests.service.storage.conftest import Make

LEASE, NONE = timedelta(minutes=5), timedelta()
SR, MAP = Order("pacs", "sr"), Order("pacs", "segmentation")


@pytest.fixture
def outbox(records: Records) -> Outbox:
    return Outbox(records.database)


@pytest.fixture
def id(records: Records, make: Make) -> str:
    return records.save(make()).id


class TestAdd:
    def test_each_order_is_an_entry_that_waits(self, outbox: Outbox, id: str) -> None:
        added = outbox.add(id, [SR, MAP])

        assert [(one.object, one.state, one.attempts) for one in added] == [
            ("sr", "waiting", 0),
            ("segmentation", "waiting", 0),
        ]
        assert set(outbox.list(id)) == set(added)

    def test_what_waits_is_not_ordered_twice(self, outbox: Outbox, id: str) -> None:
        assert outbox.add(id, [SR]) == outbox.add(id, [SR])

    @pytest.mark.parametrize("state", ["sent", "failed"])
    def test_what_ended_is_ordered_again(self, outbox: Outbox, id: str, state: str) -> None:
        outbox.add(id, [SR])
        claimed = outbox.claim("pacs", LEASE)
        assert claimed is not None
        outbox.finish(claimed, "failed" if state == "failed" else "sent", "code")

        [again] = outbox.add(id, [SR])

        assert (again.id, again.state, again.attempts, again.error, again.finished) == (
            claimed.id,
            "waiting",
            0,
            "",
            None,
        )

    def test_of_no_record(self, outbox: Outbox) -> None:
        with pytest.raises(NotFound):
            outbox.add("0" * 32, [SR])

    def test_many_at_once_make_one(self, outbox: Outbox, id: str) -> None:
        threads = [threading.Thread(target=outbox.add, args=(id, [SR, MAP])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(outbox.list(id)) == 2


class TestWithTheRecord:
    def test_a_new_record_has_its_orders(self, records: Records, outbox: Outbox, make: Make) -> None:
        record = records.save(make(), [SR, MAP])

        assert {one.object for one in outbox.list(record.id)} == {"sr", "segmentation"}

    def test_the_same_again_has_no_more(self, records: Records, outbox: Outbox, make: Make) -> None:
        stands = records.save(make())
        records.save(make(), [SR])

        assert outbox.list(stands.id) == ()

    def test_a_record_whose_orders_fail_is_not_there(self, records: Records, make: Make) -> None:
        with pytest.raises(Overloaded):
            records.save(make(), [SR, SR])  # which the table does not take

        assert records.list(10)[0] == ()

    def test_they_go_with_it(self, records: Records, outbox: Outbox, make: Make) -> None:
        record = records.save(make(), [SR])
        records.delete(record.id)

        assert outbox.claim("pacs", LEASE) is None


class TestClaim:
    def test_an_entry_is_of_one_for_the_time_of_the_lease(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])

        first, second = outbox.claim("pacs", LEASE), outbox.claim("pacs", LEASE)

        assert first is not None
        assert (first.object, first.attempts) == ("sr", 1)
        assert second is None

    def test_of_many_at_once_each_gets_another(self, outbox: Outbox, records: Records, make: Make) -> None:
        for number in range(20):
            records.save(make(sop_instance_uid=f"1.2.{number}", display_sha256=f"{number:064d}"), [SR])
        claimed: list[str] = []

        def work() -> None:
            while (entry := outbox.claim("pacs", LEASE)) is not None:
                claimed.append(entry.id)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(claimed) == 20
        assert len(set(claimed)) == 20

    def test_of_a_process_that_died_it_is_due_after_the_lease(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        outbox.claim("pacs", NONE)

        again = outbox.claim("pacs", LEASE)

        assert again is not None
        assert again.attempts == 2

    def test_a_lease_that_is_renewed_does_not_end(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        claimed = outbox.claim("pacs", NONE)
        assert claimed is not None
        outbox.renew(claimed, LEASE)

        assert outbox.claim("pacs", LEASE) is None

    def test_who_comes_too_late_changes_nothing(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        late, other = outbox.claim("pacs", NONE), outbox.claim("pacs", LEASE)
        assert late is not None
        assert other is not None

        outbox.finish(late, "failed", "late")
        assert outbox.list(id)[0].state == "waiting"
        outbox.finish(other, "sent")
        assert outbox.list(id)[0].state == "sent"

    def test_another_destinations_are_not_taken(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])

        assert outbox.claim("archive", LEASE) is None

    def test_what_is_put_off_is_not_due(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        claimed = outbox.claim("pacs", LEASE)
        assert claimed is not None
        outbox.put_off(claimed, timedelta(hours=1), "unreachable")

        [waits] = outbox.list(id)

        assert outbox.claim("pacs", LEASE) is None
        assert (waits.state, waits.error) == ("waiting", "unreachable")
        assert waits.due > datetime.now(UTC) + timedelta(minutes=59)

    def test_the_one_due_longest_is_first(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [MAP])
        outbox.add(id, [SR])

        first = outbox.claim("pacs", LEASE)

        assert first is not None
        assert first.object == "segmentation"


def test_orders_survive_a_restart(outbox: Outbox, id: str, records: Records, url: str) -> None:
    added = outbox.add(id, [SR])
    records.close()
    again = Records(url)
    again.open()

    assert Outbox(again.database).list(id) == added
    again.close()

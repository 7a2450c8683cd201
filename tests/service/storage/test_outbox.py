"""Orders are stored, claimed by one process at a time, tried again, and finished."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command

from service.errors import NotFound, Overloaded
from service.objects.kinds import Kind
from service.storage.migration import migrations
from service.storage.outbox import Delivery, Order, Outbox, State
from service.storage.records import Records
from service.storage.worklist import Worklist
from tests.service.storage.conftest import Make

LEASE, NONE = timedelta(minutes=5), timedelta()
SR, MAP = Order("pacs", "sr"), Order("pacs", "segmentation")
ALERT = Order("pager", "fhir", alert=True)  # any kind of object may be an alert
MESSAGE = Order("board", Kind.HL7)


@pytest.fixture
def outbox(records: Records) -> Outbox:
    return Outbox(records.database)


@pytest.fixture
def id(records: Records, make: Make) -> str:
    return records.save(make()).id


def claimed(outbox: Outbox) -> Delivery:
    delivery = outbox.claim("pager", LEASE)
    assert delivery is not None
    return delivery


class TestAdd:
    def test_each_order_becomes_a_waiting_delivery(self, outbox: Outbox, id: str) -> None:
        added = outbox.add(id, [SR, MAP])

        assert [(delivery.object, delivery.state, delivery.attempts) for delivery in added] == [
            ("sr", "waiting", 0),
            ("segmentation", "waiting", 0),
        ]
        assert set(outbox.list(id)) == set(added)

    def test_a_waiting_order_is_not_added_twice(self, outbox: Outbox, id: str) -> None:
        assert outbox.add(id, [SR]) == outbox.add(id, [SR])

    @pytest.mark.parametrize("state", ["sent", "failed"])
    def test_a_sent_or_failed_order_starts_anew(self, outbox: Outbox, id: str, state: str) -> None:
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

    def test_an_order_of_an_unknown_record_is_refused(self, outbox: Outbox) -> None:
        with pytest.raises(NotFound):
            outbox.add("0" * 32, [SR])

    def test_concurrent_equal_orders_become_one(self, outbox: Outbox, id: str) -> None:
        threads = [threading.Thread(target=outbox.add, args=(id, [SR, MAP])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(outbox.list(id)) == 2


class TestWithTheRecord:
    def test_a_new_record_has_its_orders(self, records: Records, outbox: Outbox, make: Make) -> None:
        record = records.save(make(), [SR, MAP])

        assert {delivery.object for delivery in outbox.list(record.id)} == {"sr", "segmentation"}

    def test_a_record_that_is_already_stored_gets_no_orders(self, records: Records, outbox: Outbox, make: Make) -> None:
        existing = records.save(make())
        records.save(make(), [SR])

        assert outbox.list(existing.id) == ()

    def test_a_record_whose_orders_fail_is_not_saved(self, records: Records, make: Make) -> None:
        with pytest.raises(Overloaded):
            records.save(make(), [SR, SR])  # violates the unique constraint of the outbox

        assert records.list(10)[0] == ()

    def test_orders_are_deleted_with_their_record(self, records: Records, outbox: Outbox, make: Make) -> None:
        record = records.save(make(), [SR])
        records.delete(record.id)

        assert outbox.claim("pacs", LEASE) is None


class TestAlert:
    def test_a_received_alert_is_due_again_and_counts_how_often_it_was_received(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [ALERT])
        outbox.repeat(claimed(outbox), NONE)
        outbox.repeat(claimed(outbox), timedelta(hours=1))

        [delivery] = outbox.list(id)

        assert (delivery.state, delivery.received, delivery.attempts, delivery.error) == ("repeating", 2, 2, "")
        assert outbox.claim("pager", LEASE) is None
        assert delivery.due > datetime.now(UTC) + timedelta(minutes=59)

    def test_a_failed_repeat_is_tried_again(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [ALERT])
        outbox.repeat(claimed(outbox), NONE)
        outbox.put_off(claimed(outbox), NONE, "unreachable")

        [delivery] = outbox.list(id)

        assert (delivery.state, delivery.received, delivery.error) == ("repeating", 1, "unreachable")
        assert outbox.claim("pager", LEASE) is not None

    def test_an_order_with_a_delay_is_due_after_it(self, records: Records, outbox: Outbox, make: Make) -> None:
        id = records.save(make(), [replace(ALERT, delay=timedelta(minutes=10))]).id

        [delivery] = outbox.list(id)

        assert outbox.claim("pager", LEASE) is None
        assert delivery.due - delivery.created == timedelta(minutes=10)

    @pytest.mark.parametrize("sent_before", [False, True])
    def test_it_ends_with_the_acknowledgement(
        self, records: Records, outbox: Outbox, id: str, sent_before: bool
    ) -> None:
        outbox.add(id, [ALERT, SR])
        if sent_before:
            outbox.repeat(claimed(outbox), NONE)
        Worklist(records.database).acknowledge(id, "AB")

        states = {delivery.object: delivery.state for delivery in outbox.list(id)}

        assert states == {"fhir": "acknowledged", "sr": "waiting"}
        assert outbox.claim("pager", LEASE) is None

    def test_an_attempt_under_way_when_it_is_acknowledged_does_not_repeat_it(
        self, records: Records, outbox: Outbox, id: str
    ) -> None:
        outbox.add(id, [ALERT])
        under_way = claimed(outbox)
        Worklist(records.database).acknowledge(id, "AB")
        outbox.repeat(under_way, NONE)

        assert outbox.claim("pager", LEASE) is None
        assert outbox.list(id)[0].state == "acknowledged"

    def test_an_order_of_an_acknowledged_result_is_sent_once(self, records: Records, outbox: Outbox, id: str) -> None:
        Worklist(records.database).acknowledge(id, "AB")

        assert [delivery.alert for delivery in outbox.add(id, [ALERT])] == [False]

    @pytest.mark.parametrize(("priority", "alert"), [("STAT", True), ("HIGH", False), ("ROUTINE", False)])
    def test_only_a_stat_result_is_repeated(
        self, records: Records, outbox: Outbox, make: Make, priority: str, alert: bool
    ) -> None:
        id = records.save(make(priority=priority)).id

        assert [delivery.alert for delivery in outbox.add(id, [ALERT])] == [alert]

    def test_it_is_deleted_with_its_record(self, records: Records, outbox: Outbox, id: str) -> None:
        outbox.add(id, [ALERT])
        outbox.repeat(claimed(outbox), NONE)
        records.delete(id)

        assert outbox.claim("pager", LEASE) is None


class TestClaim:
    def test_a_claimed_delivery_is_not_claimed_again_during_its_lease(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])

        first, second = outbox.claim("pacs", LEASE), outbox.claim("pacs", LEASE)

        assert first is not None
        assert (first.object, first.attempts) == ("sr", 1)
        assert second is None

    def test_concurrent_claims_get_different_deliveries(self, outbox: Outbox, records: Records, make: Make) -> None:
        for number in range(20):
            records.save(make(sop_instance_uid=f"1.2.{number}", display_sha256=f"{number:064d}"), [SR])
        claimed: list[str] = []

        def work() -> None:
            while (delivery := outbox.claim("pacs", LEASE)) is not None:
                claimed.append(delivery.id)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(claimed) == 20
        assert len(set(claimed)) == 20

    def test_a_delivery_is_due_again_after_its_lease(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        outbox.claim("pacs", NONE)

        again = outbox.claim("pacs", LEASE)

        assert again is not None
        assert again.attempts == 2

    def test_a_renewed_lease_has_not_ended(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        claimed = outbox.claim("pacs", NONE)
        assert claimed is not None
        outbox.renew(claimed, LEASE)

        assert outbox.claim("pacs", LEASE) is None

    def test_an_attempt_whose_lease_has_ended_changes_nothing(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        late, other = outbox.claim("pacs", NONE), outbox.claim("pacs", LEASE)
        assert late is not None
        assert other is not None

        outbox.finish(late, "failed", "late")
        assert outbox.list(id)[0].state == "waiting"
        outbox.finish(other, "sent")
        assert outbox.list(id)[0].state == "sent"

    def test_deliveries_to_another_destination_are_not_claimed(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])

        assert outbox.claim("archive", LEASE) is None

    def test_a_delivery_that_is_put_off_is_not_due(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [SR])
        claimed = outbox.claim("pacs", LEASE)
        assert claimed is not None
        outbox.put_off(claimed, timedelta(hours=1), "unreachable")

        [delivery] = outbox.list(id)

        assert outbox.claim("pacs", LEASE) is None
        assert (delivery.state, delivery.error) == ("waiting", "unreachable")
        assert delivery.due > datetime.now(UTC) + timedelta(minutes=59)

    def test_the_delivery_due_longest_is_claimed_first(self, outbox: Outbox, id: str) -> None:
        outbox.add(id, [MAP])
        outbox.add(id, [SR])

        first = outbox.claim("pacs", LEASE)

        assert first is not None
        assert first.object == "segmentation"


class TestOrderOfMessages:
    """Two records of one study and one of another, each with a message to the same destination."""

    @pytest.fixture
    def ids(self, records: Records, make: Make) -> list[str]:
        studies = ["1.2.3", "1.2.3", "4.5.6"]
        return [
            records.save(
                make(sop_instance_uid=f"1.9.{n}", display_sha256=f"{n:064d}", study_instance_uid=study), [MESSAGE]
            ).id
            for n, study in enumerate(studies)
        ]

    def claimed(self, outbox: Outbox) -> list[str]:
        taken = []
        while (delivery := outbox.claim("board", LEASE)) is not None:
            taken.append(delivery)
        return [delivery.prediction_id for delivery in taken]

    def test_a_later_message_of_a_study_waits_for_an_earlier_one(self, outbox: Outbox, ids: list[str]) -> None:
        first = outbox.claim("board", LEASE)
        assert first is not None

        assert first.prediction_id == ids[0]
        assert self.claimed(outbox) == [ids[2]]  # the other study is not held up
        outbox.put_off(first, timedelta(hours=1), "hl7_ae")
        assert self.claimed(outbox) == []

    @pytest.mark.parametrize("state", ["sent", "failed"])
    def test_one_that_was_sent_or_given_up_holds_nothing_up(self, outbox: Outbox, ids: list[str], state: State) -> None:
        first = outbox.claim("board", LEASE)
        assert first is not None
        outbox.finish(first, state)

        assert self.claimed(outbox) == [ids[1], ids[2]]

    def test_one_that_is_ordered_anew_goes_to_the_end(self, outbox: Outbox, ids: list[str]) -> None:
        first = outbox.claim("board", LEASE)
        assert first is not None
        outbox.finish(first, "failed")
        [again] = outbox.add(ids[0], [MESSAGE])

        assert again.created == first.created < again.ordered
        assert self.claimed(outbox) == [ids[1], ids[2]]

    def test_another_destination_is_not_held_up(self, outbox: Outbox, ids: list[str]) -> None:
        outbox.claim("board", LEASE)
        outbox.add(ids[1], [Order("other", MESSAGE.object)])

        assert outbox.claim("other", LEASE) is not None

    def test_a_dicom_object_that_is_refused_holds_no_other_up(self, outbox: Outbox, ids: list[str]) -> None:
        outbox.add(ids[0], [SR])
        outbox.add(ids[1], [SR])
        refused = outbox.claim("pacs", LEASE)
        assert refused is not None
        outbox.put_off(refused, timedelta(hours=1), "status_0122")

        assert outbox.claim("pacs", LEASE) is not None

    def test_two_processes_keep_the_order(self, outbox: Outbox, records: Records, make: Make) -> None:
        ids = [
            records.save(make(sop_instance_uid=f"1.8.{n}", display_sha256=f"{n:064d}"), [MESSAGE]).id for n in range(12)
        ]
        sent: list[str] = []

        def work() -> None:
            while len(sent) < len(ids):
                if (delivery := outbox.claim("board", LEASE)) is not None:
                    sent.append(delivery.prediction_id)
                    outbox.finish(delivery, "sent")

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sent == ids


def test_orders_from_before_the_migration_get_their_study_and_time(
    outbox: Outbox, records: Records, make: Make
) -> None:
    id = records.save(make(study_instance_uid="1.2.3"), [MESSAGE]).id
    for step, revision in ((command.downgrade, "0005"), (command.upgrade, "head")):
        with records.database.write() as connection:
            step(migrations(connection), revision)

    [order] = outbox.list(id)
    assert (order.study_instance_uid, order.ordered) == ("1.2.3", order.created)


def test_orders_survive_a_restart(outbox: Outbox, id: str, records: Records, url: str) -> None:
    added = outbox.add(id, [SR])
    records.close()
    again = Records(url)
    again.open()

    assert Outbox(again.database).list(id) == added
    again.close()

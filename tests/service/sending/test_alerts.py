"""An alert is repeated and escalated until somebody acknowledges the result, through every kind of interruption."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.destinations import Destination, Sending
from service.errors import InvalidRequest
from service.objects.kinds import Kind
from service.objects.notification import notification
from service.sending import sender as module
from service.sending import webhook
from service.sending.sender import Sender, orders_for_new_records
from service.storage.outbox import Delivery, Order, Outbox
from service.storage.records import Records
from service.storage.tables import OUTBOX
from service.storage.worklist import Worklist
from tests.ports import free_port
from tests.service.sending.receiver import SECRET, Receiver, receiver
from tests.service.storage.conftest import Make


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(f"sqlite:///{tmp_path / 'triage.sqlite'}")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def pager() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(SECRET)
    return tmp_path / "secret"


Webhook = Callable[..., Destination]


@pytest.fixture
def hook(secret_file: Path) -> Webhook:
    """Return a function that makes a destination, which repeats its alerts quickly."""

    def _hook(url: str, name: str = "pager", **keys: Any) -> Destination:
        values = {"repeat_seconds": 0.05} | keys
        return Destination(name=name, protocol="webhook", url=url, secret_file=secret_file, **values)

    return _hook


def sending(*destinations: Destination, send_all: tuple[str, ...] = ("pager",), **settings: Any) -> Sending:
    return Sending(destinations=destinations, send_all=send_all, pause_seconds=0.02, **settings)


def save(records: Records, make: Make, settings: Sending, priority: str = "STAT", **changes: Any) -> str:
    """Save a record together with its orders."""
    return records.save(make(priority=priority, **changes), orders_for_new_records(settings, priority)).id


def sender(records: Records, settings: Sending) -> Sender:
    async def render(entry: Delivery, destination: Destination) -> bytes:
        record = await asyncio.to_thread(records.get, entry.prediction_id)
        return notification(record, webhook.message(destination, entry, record))

    return Sender(Outbox(records.database), render, settings)


def run(records: Records, settings: Sending, done: Callable[[], bool]) -> None:
    """Run a new sender until `done`, then stop it as at the end of the process."""

    async def work() -> None:
        running = asyncio.create_task(sender(records, settings).run())
        async with asyncio.timeout(120):
            while not await asyncio.to_thread(done):
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())


def states(records: Records, id: str) -> dict[str, str]:
    return {delivery.destination: delivery.state for delivery in Outbox(records.database).list(id)}


def ids(server: Receiver) -> list[str]:
    return [message.id for message in server.received]


# Repetition...


def test_a_stat_result_is_repeated_until_it_is_acknowledged(
    records: Records, make: Make, pager: Receiver, hook: Webhook
) -> None:
    settings = sending(hook(pager.url, viewer_url="https://triage.example/#/{id}"))
    id = save(records, make, settings)
    run(records, settings, lambda: len(pager.received) >= 3)
    assert states(records, id) == {"pager": "repeating"}

    Worklist(records.database).acknowledge(id, "AB")
    [before] = Outbox(records.database).list(id)
    run_for(records, settings, 0.4)

    [after] = Outbox(records.database).list(id)
    received = list(pager.received)  # also what was on its way when the sender was stopped
    assert (after.state, after.attempts) == ("acknowledged", before.attempts)
    assert 3 <= len(received) <= before.attempts
    assert [message.id for message in received] == [f"{before.id}-{number}" for number in range(len(received))]
    for number, (_, document) in enumerate(received):
        data = document["data"]
        assert (data["id"], data["repeat"], data["acknowledge"]) == (id, number, True)
        assert data["viewer"] == f"https://triage.example/#/{id}"


def run_for(records: Records, settings: Sending, seconds: float) -> None:
    async def work() -> None:
        running = asyncio.create_task(sender(records, settings).run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())


@pytest.mark.parametrize("end", ["read", "deleted"])
def test_a_read_or_deleted_result_is_not_repeated(
    records: Records, make: Make, pager: Receiver, hook: Webhook, end: str
) -> None:
    settings = sending(hook(pager.url))
    id = save(records, make, settings)
    run(records, settings, lambda: len(pager.received) >= 1)

    [before] = Outbox(records.database).list(id)
    if end == "read":
        Worklist(records.database).mark(id, True, "AB")
    else:
        records.delete(id)
    run_for(records, settings, 0.3)

    attempts = [delivery.attempts for delivery in Outbox(records.database).list(id)]
    assert attempts == ([before.attempts] if end == "read" else [])
    assert len(pager.received) <= before.attempts  # one may have been on its way when the sender was stopped


@pytest.mark.parametrize("keys", [{"priorities": ["STAT", "HIGH"]}, {"repeat_seconds": None}])
def test_another_result_or_without_repetition_there_is_one_message(
    records: Records, make: Make, pager: Receiver, hook: Webhook, keys: dict[str, Any]
) -> None:
    settings = sending(hook(pager.url, **keys))
    id = save(records, make, settings, "HIGH" if "priorities" in keys else "STAT")
    run(records, settings, lambda: states(records, id) == {"pager": "sent"})

    [message] = pager.received
    assert (message.document["data"]["repeat"], message.document["data"]["acknowledge"]) == (0, False)
    assert not Worklist(records.database).get(id).acknowledgement.requested


def test_an_alert_that_nobody_acknowledges_ends_after_a_day(
    records: Records, make: Make, pager: Receiver, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DAY_SECONDS", 0.15)  # three times `repeat_seconds`
    settings = sending(hook(pager.url))
    id = save(records, make, settings)

    run(records, settings, lambda: states(records, id) == {"pager": "failed"})

    [delivery] = Outbox(records.database).list(id)
    assert delivery.error == "not_acknowledged"
    assert len(pager.received) == 3
    acknowledgement = Worklist(records.database).get(id).acknowledgement
    assert (acknowledgement.requested, acknowledgement.at) == (True, None)


def test_a_result_can_be_announced_again_on_request(
    records: Records, make: Make, pager: Receiver, hook: Webhook
) -> None:
    settings = sending(hook(pager.url), send_all=())
    id = save(records, make, settings)
    Worklist(records.database).acknowledge(id, "AB")
    for count in (1, 2):
        asyncio.run(sender(records, settings).order(id, "pager", None))
        run(records, settings, lambda: states(records, id) == {"pager": "sent"})
        assert len(pager.received) == count

    assert len(set(ids(pager))) == 2, "a receiver that drops known ids would have dropped the second"
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(sender(records, settings).order(id, "pager", [Kind.SR]))
    assert caught.value.code == "objects_unsuitable"


# Interruptions...


def test_nothing_is_lost_or_doubled_by_interruptions(records: Records, make: Make, hook: Webhook) -> None:
    """The receiver is down, answers 500, receives without an answer; the sender is stopped each time, once mid-way."""
    url = f"http://127.0.0.1:{(port := free_port())}/hook/"
    settings = sending(hook(url))
    id = save(records, make, settings)
    [entry] = Outbox(records.database).list(id)
    run(records, settings, lambda: Outbox(records.database).list(id)[0].attempts >= 3)
    with receiver(port) as pager:
        pager.status = 500
        run(records, settings, lambda: len(pager.received) >= 2)
        pager.status = 0
        run(records, settings, lambda: len(pager.received) >= 4)
        assert set(ids(pager)) == {f"{entry.id}-0"}, "without a receipt, the message keeps its id"

        while Outbox(records.database).claim("pager", timedelta(seconds=0.1)) is None:
            pass  # claimed by a process that is then killed
        pager.status = 204
        run(records, settings, lambda: f"{entry.id}-2" in ids(pager))

    counts = Counter(ids(pager))
    receipts = max(int(id.rpartition("-")[2]) for id in counts)
    assert set(counts) == {f"{entry.id}-{number}" for number in range(receipts + 1)}
    assert all(count == 1 for id, count in counts.items() if not id.endswith("-0"))


def test_alerts_of_many_results_are_all_received(records: Records, make: Make, hook: Webhook) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/hook/"
    settings = sending(hook(url, repeat_seconds=60))
    saved = [save(records, make, settings, sop_instance_uid=f"1.2.{n}", display_sha256=f"{n:064d}") for n in range(8)]
    run(records, settings, lambda: all(Outbox(records.database).list(id)[0].attempts for id in saved))
    with receiver(port) as pager:
        run(records, settings, lambda: len(pager.received) >= len(saved))

    assert sorted(message.document["data"]["id"] for message in pager.received) == sorted(saved)


# Escalation...


@pytest.fixture
def chief() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.mark.parametrize("pager_status", [204, 400, None])
def test_without_acknowledgement_it_is_escalated_whatever_the_first_receiver_does(
    records: Records, make: Make, pager: Receiver, chief: Receiver, hook: Webhook, pager_status: int | None
) -> None:
    """The first receiver accepts every message, refuses every one, or was given up."""
    settings = sending(
        hook(pager.url, escalate_to="chief", escalate_seconds=3600), hook(chief.url, "chief"), attempts=1
    )
    id = save(records, make, settings)
    if pager_status is None:
        given_up = Outbox(records.database).claim("pager", timedelta(minutes=1))
        assert given_up is not None
        Outbox(records.database).finish(given_up, "failed", "unreachable")
        run_for(records, settings, 0.2)
    else:
        pager.status = pager_status
        run(records, settings, lambda: len(pager.received) >= 3)
    assert chief.received == []

    with records.database.write() as connection:  # an hour later
        due = sa.update(OUTBOX).where(OUTBOX.c.destination == "chief").values(due=OUTBOX.c.created)
        connection.execute(due)
    run(records, settings, lambda: len(chief.received) >= 2)
    Worklist(records.database).acknowledge(id, "AB")

    assert {message.document["data"]["id"] for message in (*pager.received, *chief.received)} == {id}
    assert not set(ids(pager)) & set(ids(chief))
    first = "failed" if pager_status is None else "acknowledged"
    assert states(records, id) == {"pager": first, "chief": "acknowledged"}


def test_an_acknowledged_result_is_not_escalated(
    records: Records, make: Make, pager: Receiver, chief: Receiver, hook: Webhook
) -> None:
    settings = sending(hook(pager.url, escalate_to="chief", escalate_seconds=0.3), hook(chief.url, "chief"))
    id = save(records, make, settings)
    Worklist(records.database).acknowledge(id, "AB")

    run_for(records, settings, 0.6)

    assert (pager.received, chief.received) == ([], [])
    assert states(records, id) == {"pager": "acknowledged", "chief": "acknowledged"}


def test_the_orders_of_a_new_record(hook: Webhook) -> None:
    second, third = timedelta(seconds=60), timedelta(seconds=150)
    settings = sending(
        hook("http://a", priorities=["STAT", "HIGH"], escalate_to="chief", escalate_seconds=60),
        hook("http://b", "chief", escalate_to="head", escalate_seconds=90),
        hook("http://c", "head", repeat_seconds=None),
    )
    note = Kind.NOTIFICATION

    stat, high, routine = (orders_for_new_records(settings, name) for name in ("STAT", "HIGH", "ROUTINE"))

    assert set(stat) == {
        Order("pager", note, alert=True),
        Order("chief", note, alert=True, delay=second),
        Order("head", note, alert=True, delay=third),
    }
    assert high == (Order("pager", note),)
    assert routine == ()


def test_a_destination_that_is_told_at_once_is_not_told_again_later(hook: Webhook) -> None:
    settings = sending(
        hook("http://a", escalate_to="chief"),
        hook("http://b", "chief", priorities=["STAT"]),
        send_all=("pager", "chief"),
    )

    orders = orders_for_new_records(settings, "STAT")

    assert set(orders) == {Order(name, Kind.NOTIFICATION, alert=True) for name in ("pager", "chief")}

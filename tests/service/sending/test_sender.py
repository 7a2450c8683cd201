"""The sender, from an order to its end: sends a synthetic file to a stub of a DICOMweb service or to an AE."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import HTTP
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from service.destinations import Destination, Sending
from service.errors import ConfigurationError, DecodeTimeout, InvalidRequest, MalformedDicom, NotFound, Overloaded
from service.objects.kinds import DICOM_KINDS, Kind
from service.sending import sender as module
from service.sending import store_scu
from service.sending.failure import SendingFailed
from service.sending.sender import Sender, orders_for_new_records, pause
from service.sending.store_scu import store
from service.storage import clock
from service.storage.outbox import Delivery, Order, Outbox
from service.storage.records import Records
from tests.factories import dicom_bytes, noise
from tests.ports import refusing
from tests.service.storage.conftest import Make
from tests.service.stub import Stub, stub

DATA = dicom_bytes(noise())


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(f"sqlite:///{tmp_path / 'triage.sqlite'}")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def id(records: Records, make: Make) -> str:
    return records.save(make()).id


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)


def sending(*destinations: Destination, **settings: Any) -> Sending:
    return Sending(destinations=destinations, **({"pause_seconds": 0.02} | settings))


async def _data(_id: str, _object: str) -> bytes:
    return DATA


def carry_out(sender: Sender, id: str, done: Callable[[tuple[Delivery, ...]], bool]) -> tuple[Delivery, ...]:
    """Order an object for `pacs` and run the sender until `done`."""

    async def work() -> tuple[Delivery, ...]:
        running = asyncio.create_task(sender.run())
        await sender.order(id, "pacs", ["sr"])
        async with asyncio.timeout(60):
            while not done(entries := await sender.entries(id)):
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return entries

    return asyncio.run(work())


def ended(entries: tuple[Delivery, ...]) -> bool:
    return all(entry.state != "waiting" for entry in entries)


class TestStow:
    @pytest.fixture
    def server(self) -> Iterator[Stub]:
        with stub() as running:
            yield running

    def sender(self, records: Records, server: Stub, render: Any = _data, **settings: Any) -> Sender:
        destination = Destination(name="pacs", url=f"{server.url}/dicom-web")
        return Sender(Outbox(records.database), render, sending(destination, **settings))

    def test_the_object_is_one_part(self, records: Records, id: str, server: Stub) -> None:
        [sent] = carry_out(self.sender(records, server), id, ended)

        [(headers, body)] = server.received
        message = message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body, policy=HTTP)
        [part] = message.iter_parts()  # type: ignore[attr-defined]
        assert (sent.state, sent.attempts, sent.error) == ("sent", 1, "")
        assert message.get_content_type() == "multipart/related"
        assert message.get_param("type") == "application/dicom"
        assert part.get_content_type() == "application/dicom"
        assert body.count(DATA) == 1

    def test_a_refused_object_is_sent_again_until_it_is_accepted(
        self, records: Records, id: str, server: Stub, log: StringIO
    ) -> None:
        sender = self.sender(records, server)
        server.answer(503)
        waiting = carry_out(sender, id, lambda entries: entries[0].attempts >= 3)
        server.answer(200)

        [sent] = carry_out(self.sender(records, server), id, ended)

        assert (waiting[0].state, waiting[0].error) == ("waiting", "http_503")
        assert sent.state == "sent"
        assert sent.attempts > 3
        events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
        assert events.count("sent") == 1
        assert events.count("not sent") >= 2

    def test_after_the_last_attempt_an_object_has_failed(
        self, records: Records, id: str, server: Stub, log: StringIO
    ) -> None:
        server.answer(503)

        [failed] = carry_out(self.sender(records, server, attempts=3), id, ended)

        assert (failed.state, failed.attempts, failed.error) == ("failed", 3, "http_503")
        assert '"event": "given up"' in log.getvalue()
        assert len(server.received) == 3

    @pytest.mark.parametrize("status", [200, 202])
    def test_an_answer_that_reports_a_failure_is_a_failure(
        self, records: Records, id: str, server: Stub, status: int
    ) -> None:
        server.answer(status, **{"00081198": {"vr": "SQ", "Value": [{}]}})

        [failed] = carry_out(self.sender(records, server, attempts=1), id, ended)

        assert failed.error == ("not_stored" if status == 200 else "http_202")

    def test_an_unreachable_destination_is_a_failure(self, records: Records, id: str) -> None:
        with refusing() as port:
            settings = sending(Destination(name="pacs", url=f"http://127.0.0.1:{port}"), attempts=1)
            [failed] = carry_out(Sender(Outbox(records.database), _data, settings), id, ended)

        assert failed.error == "unreachable"

    def test_the_authorization_is_read_from_a_file(
        self, records: Records, id: str, server: Stub, tmp_path: Path
    ) -> None:
        (tmp_path / "authorization").write_text("Basic dDpr\n")
        destination = Destination(name="pacs", url=server.url, authorization_file=tmp_path / "authorization")

        carry_out(Sender(Outbox(records.database), _data, sending(destination)), id, ended)

        assert server.received[0][0]["Authorization"] == "Basic dDpr"

    def test_an_object_that_cannot_be_made_fails_at_once(self, records: Records, id: str, server: Stub) -> None:
        async def fail(*_: object) -> bytes:
            raise MalformedDicom("no")

        [failed] = carry_out(self.sender(records, server, fail), id, ended)

        assert (failed.attempts, failed.error) == (1, "malformed_dicom")

    def test_an_object_without_its_file_fails_at_once(self, records: Records, id: str, server: Stub) -> None:
        async def fail(*_: object) -> bytes:
            raise NotFound("no such instance")

        [failed] = carry_out(self.sender(records, server, fail), id, ended)

        assert (failed.state, failed.attempts, failed.error) == ("failed", 1, "not_found")

    @pytest.mark.parametrize(
        "temporary",
        [Overloaded("no"), DecodeTimeout("no"), MalformedDicom("no", "decoder_failed"), ConfigurationError("no")],
        ids=lambda error: error.code,
    )
    def test_a_temporary_error_is_retried(self, records: Records, id: str, server: Stub, temporary: Exception) -> None:
        outcomes = iter([temporary, DATA])

        async def fail_once(*_: object) -> bytes:
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        [sent] = carry_out(self.sender(records, server, fail_once), id, ended)

        assert (sent.state, sent.attempts) == ("sent", 2)

    def test_two_senders_send_each_object_once(self, records: Records, id: str, server: Stub) -> None:
        async def work() -> None:
            senders = [self.sender(records, server) for _ in range(2)]
            running = [asyncio.create_task(sender.run()) for sender in senders]
            await senders[0].order(id, "pacs", None)
            async with asyncio.timeout(60):
                while not ended(await senders[0].entries(id)):
                    await asyncio.sleep(0.01)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run(work())

        assert len(server.received) == len(DICOM_KINDS)  # each object once

    def test_an_object_that_takes_longer_than_the_lease_is_sent_once(
        self, records: Records, id: str, server: Stub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a clock that goes on at each renewal alone, by most of a lease: no stop of this process ends one."""
        now, renew, claim, refused = datetime.now(UTC), Outbox.renew, Outbox.claim, list[datetime]()

        def renew_later(outbox: Outbox, delivery: Delivery, lease: timedelta) -> None:
            nonlocal now
            renew(outbox, delivery, lease)
            now += 0.9 * lease

        def noted(outbox: Outbox, destination: str, lease: timedelta) -> Delivery | None:
            asked = now
            if (claimed := claim(outbox, destination, lease)) is None:
                refused.append(asked)
            return claimed

        monkeypatch.setattr(clock, "now", lambda _: now)
        monkeypatch.setattr(Outbox, "renew", renew_later)
        monkeypatch.setattr(Outbox, "claim", noted)
        monkeypatch.setattr(module, "_RENEW_SECONDS", 0.1)
        server.may_answer.clear()
        senders = [self.sender(records, server) for _ in range(2)]

        async def work() -> None:
            running = [asyncio.create_task(sender.run()) for sender in senders]
            await senders[0].order(id, "pacs", ["sr"])
            end = now + 3 * module.LEASE
            async with asyncio.timeout(60):
                while not refused or refused[-1] < end:
                    assert len(server.received) <= 1, "the other sender has claimed it, too"
                    await asyncio.sleep(0.01)
                server.may_answer.set()
                while not ended(await senders[0].entries(id)):
                    await asyncio.sleep(0.01)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run(work())

        assert len(server.received) == 1

    def test_an_interrupted_delivery_is_due_at_once(self, records: Records, id: str, server: Stub) -> None:
        server.may_answer.clear()
        sender = self.sender(records, server)

        async def work() -> None:
            running = asyncio.create_task(sender.run())
            await sender.order(id, "pacs", ["sr"])
            await asyncio.to_thread(server.began.wait, 60)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(work())
        server.may_answer.set()
        [sent] = carry_out(sender, id, ended)

        assert (sent.state, sent.attempts) == ("sent", 2)


@pytest.mark.parametrize("step", ["claim", "renew", "renew after the answer", "finish"])
def test_a_sender_that_is_stopped_while_it_writes_leaves_no_lease(
    records: Records, id: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Every task is cancelled, and once more, as by two Ctrl-C."""
    outbox, name = Outbox(records.database), step.split()[0]
    write, began, stopped = getattr(outbox, name), threading.Event(), threading.Event()

    def late(*arguments: Any) -> Any:
        began.set()
        assert stopped.wait(60)
        return write(*arguments)

    async def work() -> None:
        answered = asyncio.Event()

        async def send(*_: object) -> None:
            await asyncio.sleep(0)
            while name == "renew" and not began.is_set():
                await asyncio.sleep(0.01)
            if step == "renew":
                await asyncio.Event().wait()
            answered.set()

        monkeypatch.setattr(module, "_send", send)
        monkeypatch.setattr(module, "_RENEW_SECONDS", 0.01)
        sender = Sender(outbox, _data, sending(Destination(name="pacs", url="http://pacs.example")))
        await sender.order(id, "pacs", ["sr"])
        monkeypatch.setattr(outbox, name, late)
        running = asyncio.create_task(sender.run())
        await asyncio.to_thread(began.wait, 60)
        if step == "renew after the answer":
            await answered.wait()
        for _ in range(2):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.05)
        assert not running.done()
        stopped.set()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
    monkeypatch.undo()

    [entry], claimed = outbox.list(id), outbox.claim("pacs", timedelta())
    was_sent = step in ("renew after the answer", "finish")
    assert (entry.state, claimed is None) == ("sent" if was_sent else "waiting", was_sent)


class TestCStore:
    @contextmanager
    def scp(self, syntax: str, status: int) -> Iterator[tuple[int, list[pydicom.Dataset]]]:
        received: list[pydicom.Dataset] = []

        def keep(event: evt.Event) -> int:
            received.append(event.dataset)
            return status

        ae = AE("PACS")
        ae.require_called_aet = True
        ae.add_supported_context(DigitalXRayImageStorageForPresentation, syntax)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
        assert server is not None
        try:
            yield server.server_address[1], received
        finally:
            while ae.active_associations:  # an association that is closing cannot be aborted
                time.sleep(0.01)
            ae.shutdown()

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    @pytest.mark.parametrize("status", [0x0000, 0xB000])
    def test_the_object_is_received_unchanged(self, syntax: str, status: int) -> None:
        with self.scp(syntax, status) as (port, received):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), DATA)

        assert received[0] == pydicom.dcmread(BytesIO(DATA))

    def test_the_code_has_the_status_of_a_refusal(self) -> None:
        with self.scp(ExplicitVRLittleEndian, 0xA700) as (port, _), pytest.raises(SendingFailed, match="status_A700"):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), DATA)

    def test_another_ae_title_is_rejected(self) -> None:
        with self.scp(ExplicitVRLittleEndian, 0) as (port, _), pytest.raises(SendingFailed, match="rejected"):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="OTHER"), DATA)

    # pynetdicom leaves a socket that could not connect to the garbage collector.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_an_unreachable_destination_is_a_failure(self) -> None:
        with refusing() as port, pytest.raises(SendingFailed, match="unreachable"):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), DATA)

    def test_an_order_is_sent_to_the_ae(self, records: Records, id: str) -> None:
        with self.scp(ExplicitVRLittleEndian, 0) as (port, received):
            destination = Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS")
            [sent] = carry_out(Sender(Outbox(records.database), _data, sending(destination)), id, ended)

        assert sent.state == "sent"
        assert len(received) == 1

    def test_an_object_that_is_being_stored_when_the_sender_is_stopped_is_recorded_as_sent(
        self, records: Records, id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        began, may_end, outbox = threading.Event(), threading.Event(), Outbox(records.database)

        def slow(_destination: Destination, _data: bytes) -> None:
            began.set()
            assert may_end.wait(60)

        monkeypatch.setattr(store_scu, "store", slow)

        async def work() -> None:
            sender = Sender(outbox, _data, sending(Destination(name="pacs", host="127.0.0.1", port=104)))
            await sender.order(id, "pacs", ["sr"])
            running = asyncio.create_task(sender.run())
            await asyncio.to_thread(began.wait, 60)
            running.cancel()
            await asyncio.sleep(0.05)
            assert outbox.claim("pacs", timedelta()) is None, "another replica would send it, too"
            may_end.set()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(work())
        assert outbox.list(id)[0].state == "sent"


class TestOrder:
    def test_an_order_of_another_replica_does_not_wait_for_the_poll(
        self, records: Records, id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "POLL_SECONDS", 3600.0)
        outbox = Outbox(records.database)

        async def work() -> None:
            with stub() as server:
                destination = Destination(name="pacs", url=f"{server.url}/dicom-web")
                sender = Sender(outbox, _data, sending(destination))
                running = asyncio.create_task(sender.run())
                await asyncio.sleep(0.2)  # it has found nothing, and waits
                for object in (Kind.SR, Kind.SEGMENTATION):
                    await asyncio.to_thread(outbox.add, id, [Order("pacs", object)])
                    sender.wake()
                    async with asyncio.timeout(60):
                        while not ended(outbox.list(id)):
                            await asyncio.sleep(0.01)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

        asyncio.run(work())
        assert [(entry.object, entry.state) for entry in outbox.list(id)] == [
            (Kind.SR, "sent"),
            (Kind.SEGMENTATION, "sent"),
        ]

    def test_an_unknown_record_or_destination_is_refused(self, records: Records, id: str) -> None:
        destination = Destination(name="pacs", host="127.0.0.1", port=104)
        sender = Sender(Outbox(records.database), _data, sending(destination))

        with pytest.raises(NotFound):
            asyncio.run(sender.order("0" * 32, "pacs", None))
        with pytest.raises(InvalidRequest) as caught:
            asyncio.run(sender.order(id, "Tweety", None))
        assert caught.value.code == "unknown_destination"
        assert "Tweety" not in caught.value.message

    def test_the_default_objects_are_those_of_the_destination(self, records: Records, id: str) -> None:
        destination = Destination(name="pacs", host="127.0.0.1", objects=("sr", "secondary_capture"))
        settings = sending(destination, send_all=("pacs",))
        sender = Sender(Outbox(records.database), _data, settings)

        entries = asyncio.run(sender.order(id, "pacs", None))

        assert [entry.object for entry in entries] == ["sr", "secondary_capture"]
        new = orders_for_new_records(settings, "ROUTINE")
        assert new == (Order("pacs", "sr"), Order("pacs", "secondary_capture"))


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [pause(Sending(), attempts) for attempts in (1, 2, 3, 9, 10, 1000)]

    assert [duration / timedelta(seconds=1) for duration in pauses] == [10, 20, 40, 2560, 3600, 3600]

"""The sender, from an order to its end; the object is a file of the factories, the other side a stub or an AE."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes
from email.policy import HTTP
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from service.errors import ConfigurationError, DecodeTimeout, InvalidRequest, MalformedDicom, NotFound, Overloaded
from service.sending import sender as module
from service.sending.failure import SendingFailed
from service.sending.sender import Sender, pause
from service.sending.store_scu import store
from service.settings import Destination, Sending
from service.storage.outbox import Delivery, Order, Outbox
from service.storage.records import Records
from tests.factories import dicom_bytes, noise
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
    """Order at `pacs`, and send until it is done."""

    async def work() -> tuple[Delivery, ...]:
        running = asyncio.create_task(sender.run())
        await sender.order(id, "pacs", ["sr"])
        async with asyncio.timeout(20):
            while not done(entries := await sender.entries(id)):
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return entries

    return asyncio.run(work())


def ended(entries: tuple[Delivery, ...]) -> bool:
    return all(one.state != "waiting" for one in entries)


class TestByStow:
    @pytest.fixture
    def other(self) -> Iterator[Stub]:
        with stub() as found:
            yield found

    def sender(self, records: Records, other: Stub, render: Any = _data, **settings: Any) -> Sender:
        destination = Destination(name="pacs", url=f"{other.url}/dicom-web")
        return Sender(Outbox(records.database), render, sending(destination, **settings))

    def test_the_object_is_one_part(self, records: Records, id: str, other: Stub) -> None:
        [sent] = carry_out(self.sender(records, other), id, ended)

        [(headers, body)] = other.received
        message = message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body, policy=HTTP)
        [part] = message.iter_parts()  # type: ignore[attr-defined]
        assert (sent.state, sent.attempts, sent.error) == ("sent", 1, "")
        assert message.get_content_type() == "multipart/related"
        assert message.get_param("type") == "application/dicom"
        assert part.get_content_type() == "application/dicom"
        assert body.count(DATA) == 1

    def test_it_is_tried_until_it_is_taken(self, records: Records, id: str, other: Stub, log: StringIO) -> None:
        sender = self.sender(records, other)
        other.answer(503)
        waiting = carry_out(sender, id, lambda entries: entries[0].attempts >= 3)
        other.answer(200)

        [sent] = carry_out(self.sender(records, other), id, ended)

        assert (waiting[0].state, waiting[0].error) == ("waiting", "http_503")
        assert sent.state == "sent"
        assert sent.attempts > 3
        events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
        assert events.count("sent") == 1
        assert events.count("not sent") >= 2

    def test_in_the_end_it_is_given_up_and_said(self, records: Records, id: str, other: Stub, log: StringIO) -> None:
        other.answer(503)

        [failed] = carry_out(self.sender(records, other, attempts=3), id, ended)

        assert (failed.state, failed.attempts, failed.error) == ("failed", 3, "http_503")
        assert '"event": "given up"' in log.getvalue()
        assert len(other.received) == 3

    @pytest.mark.parametrize("status", [200, 202])
    def test_an_answer_that_says_it_failed(self, records: Records, id: str, other: Stub, status: int) -> None:
        other.answer(status, **{"00081198": {"vr": "SQ", "Value": [{}]}})

        [failed] = carry_out(self.sender(records, other, attempts=1), id, ended)

        assert failed.error == ("not_stored" if status == 200 else "http_202")

    def test_nobody_is_there(self, records: Records, id: str) -> None:
        with stub() as gone:
            sender = self.sender(records, gone, attempts=1)

        [failed] = carry_out(sender, id, ended)

        assert failed.error == "unreachable"

    def test_who_it_is_comes_from_a_file(self, records: Records, id: str, other: Stub, tmp_path: Path) -> None:
        (tmp_path / "authorization").write_text("Basic dDpr\n")
        destination = Destination(name="pacs", url=other.url, authorization_file=tmp_path / "authorization")

        carry_out(Sender(Outbox(records.database), _data, sending(destination)), id, ended)

        assert other.received[0][0]["Authorization"] == "Basic dDpr"

    def test_an_object_that_cannot_be_made_is_given_up_at_once(self, records: Records, id: str, other: Stub) -> None:
        async def fail(*_: object) -> bytes:
            raise MalformedDicom("no")

        [failed] = carry_out(self.sender(records, other, fail), id, ended)

        assert (failed.attempts, failed.error) == (1, "malformed_dicom")

    def test_one_whose_file_is_gone_is_given_up_at_once(self, records: Records, id: str, other: Stub) -> None:
        async def fail(*_: object) -> bytes:
            raise NotFound("no such instance")

        [failed] = carry_out(self.sender(records, other, fail), id, ended)

        assert (failed.state, failed.attempts, failed.error) == ("failed", 1, "not_found")

    @pytest.mark.parametrize(
        "passing",
        [Overloaded("no"), DecodeTimeout("no"), MalformedDicom("no", "decoder_failed"), ConfigurationError("no")],
        ids=lambda error: error.code,
    )
    def test_what_passes_is_waited_for(self, records: Records, id: str, other: Stub, passing: Exception) -> None:
        outcomes = iter([passing, DATA])

        async def sometimes(*_: object) -> bytes:
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        [sent] = carry_out(self.sender(records, other, sometimes), id, ended)

        assert (sent.state, sent.attempts) == ("sent", 2)

    def test_of_two_senders_one_sends(self, records: Records, id: str, other: Stub) -> None:
        async def work() -> None:
            senders = [self.sender(records, other) for _ in range(2)]
            running = [asyncio.create_task(sender.run()) for sender in senders]
            await senders[0].order(id, "pacs", None)
            async with asyncio.timeout(20):
                while not ended(await senders[0].entries(id)):
                    await asyncio.sleep(0.01)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run(work())

        assert len(other.received) == 4  # each object once

    def test_one_that_takes_longer_than_the_lease_is_sent_once(
        self, records: Records, id: str, other: Stub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LEASE", timedelta(seconds=2))
        monkeypatch.setattr(module, "_RENEWED_SECONDS", 0.1)
        other.seconds = 4.0
        senders = [self.sender(records, other) for _ in range(2)]

        async def work() -> None:
            running = [asyncio.create_task(sender.run()) for sender in senders]
            await senders[0].order(id, "pacs", ["sr"])
            async with asyncio.timeout(20):
                while not ended(await senders[0].entries(id)):
                    await asyncio.sleep(0.01)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run(work())

        assert len(other.received) == 1

    def test_one_that_is_cut_off_is_due_at_once(self, records: Records, id: str, other: Stub) -> None:
        other.seconds = 0.5
        sender = self.sender(records, other)

        async def work() -> None:
            running = asyncio.create_task(sender.run())
            await sender.order(id, "pacs", ["sr"])
            await asyncio.to_thread(other.began.wait, 20)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(work())
        other.seconds = 0.0
        [sent] = carry_out(sender, id, ended)

        assert (sent.state, sent.attempts) == ("sent", 2)


class TestByStore:
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
            while ae.active_associations:  # one that is being closed cannot be aborted
                time.sleep(0.01)
            ae.shutdown()

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    @pytest.mark.parametrize("status", [0x0000, 0xB000])
    def test_it_arrives(self, syntax: str, status: int) -> None:
        with self.scp(syntax, status) as (port, received):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), DATA)

        assert received[0] == pydicom.dcmread(BytesIO(DATA))

    def test_what_is_refused_is_told(self) -> None:
        with self.scp(ExplicitVRLittleEndian, 0xA700) as (port, _), pytest.raises(SendingFailed, match="status_A700"):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), DATA)

    def test_another_title_is_rejected(self) -> None:
        with self.scp(ExplicitVRLittleEndian, 0) as (port, _), pytest.raises(SendingFailed, match="rejected"):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="OTHER"), DATA)

    # pynetdicom leaves a socket that could not connect to the garbage collector.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_nobody_is_there(self) -> None:
        with self.scp(ExplicitVRLittleEndian, 0) as (port, _):
            pass
        with pytest.raises(SendingFailed, match="unreachable"):
            store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), DATA)

    def test_an_order_goes_there(self, records: Records, id: str) -> None:
        with self.scp(ExplicitVRLittleEndian, 0) as (port, received):
            destination = Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS")
            [sent] = carry_out(Sender(Outbox(records.database), _data, sending(destination)), id, ended)

        assert sent.state == "sent"
        assert len(received) == 1


class TestOrder:
    def test_of_no_record_or_to_nobody(self, records: Records, id: str) -> None:
        destination = Destination(name="pacs", host="127.0.0.1", port=104)
        sender = Sender(Outbox(records.database), _data, sending(destination))

        with pytest.raises(NotFound):
            asyncio.run(sender.order("0" * 32, "pacs", None))
        with pytest.raises(InvalidRequest) as caught:
            asyncio.run(sender.order(id, "Tweety", None))
        assert caught.value.code == "unknown_destination"
        assert "Tweety" not in caught.value.message

    def test_by_default_it_is_of_what_the_destination_is_for(self, records: Records, id: str) -> None:
        destination = Destination(name="pacs", host="127.0.0.1", objects=("sr", "secondary_capture"))
        sender = Sender(Outbox(records.database), _data, sending(destination, send_all=("pacs",)))

        entries = asyncio.run(sender.order(id, "pacs", None))

        assert [one.object for one in entries] == ["sr", "secondary_capture"]
        assert sender.everything == (Order("pacs", "sr"), Order("pacs", "secondary_capture"))


def test_pauses_grow_to_an_hour() -> None:
    pauses = [pause(Sending(), attempts) for attempts in (1, 2, 3, 9, 10, 1000)]

    assert [one / timedelta(seconds=1) for one in pauses] == [10, 20, 40, 2560, 3600, 3600]

"""Results out: what is ordered is rendered and sent, again and again until it is there or given up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from service.errors import DecodeTimeout, InputError, InvalidRequest, NotFound, TriageError
from service.objects.kinds import Kind
from service.sending import dicom_web
from service.sending.failure import SendingFailed
from service.settings import Destination, Sending
from service.storage.outbox import Delivery, Order, Outbox
from service.telemetry import describe, log

Render = Callable[[str, Kind], Awaitable[bytes]]
LEASE = timedelta(seconds=30)  # so soon what a process that was killed had in hand is taken up again
_RENEWED_SECONDS = 10.0
POLL_SECONDS = 2.0  # how soon another replica's orders, or those from before a restart, are seen
_LONGEST_PAUSE = timedelta(hours=1)


class Sender:
    """Takes orders, and carries them out while `run` runs. A destination that is down keeps no other waiting.

    Parameters
    ----------
    render
        Gives an object of a record: its Part 10 file.
    """

    def __init__(self, outbox: Outbox, render: Render, settings: Sending) -> None:
        self._outbox, self._render, self._settings = outbox, render, settings
        self._ordered = asyncio.Event()

    async def order(self, id: str, destination: str, objects: Sequence[Kind] | None) -> tuple[Delivery, ...]:
        """Order objects of a record, by default those that the destination is for.

        Raises
        ------
        NotFound, InvalidRequest
            `unknown_destination`
        """
        found = self._settings.named(destination)
        if found is None:
            raise InvalidRequest("destination: not one of TRIAGE_SENDING__DESTINATIONS", "unknown_destination")
        orders = [Order(found.name, object) for object in dict.fromkeys(objects or found.objects)]
        entries = await asyncio.to_thread(self._outbox.add, id, orders)
        self._ordered.set()
        return entries

    async def entries(self, id: str) -> tuple[Delivery, ...]:
        """Give what was ordered of a record, and what became of it."""
        return await asyncio.to_thread(self._outbox.list, id)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for destination in self._settings.destinations:
                tasks.create_task(self._serve(destination))

    async def _serve(self, destination: Destination) -> None:
        while True:
            try:
                entry = await asyncio.to_thread(self._outbox.claim, destination.name, LEASE)
                if entry is not None:
                    holding = asyncio.create_task(self._hold(entry))
                    try:
                        await self._carry_out(entry, destination)
                    finally:
                        holding.cancel()
                    continue
            except Exception as error:  # of the database: what was claimed is due again after the lease
                log().error("sending failed", destination=destination.name, **describe(error))
            await self._pause()

    async def _hold(self, entry: Delivery) -> None:
        """Keep others from an entry for as long as it takes."""
        while True:
            await asyncio.sleep(_RENEWED_SECONDS)
            try:
                await asyncio.to_thread(self._outbox.renew, entry, LEASE)
            except Exception as error:  # of the database: the next time, or the lease ends and another replica sends it
                log().error("the lease was not renewed", **describe(error))

    async def _pause(self) -> None:
        self._ordered.clear()
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._ordered.wait()
        except TimeoutError:
            pass

    async def _carry_out(self, entry: Delivery, destination: Destination) -> None:
        try:
            await _send(destination, await self._render(entry.prediction_id, entry.object))
        except asyncio.CancelledError:
            with suppress(Exception):  # the database may be away; the lease ends all the same
                # Due at once: after a restart, or for another replica.
                self._outbox.put_off(entry, timedelta(), "interrupted")
            raise
        except SendingFailed as error:
            await self._fail(entry, error.code)
        except TriageError as error:
            await self._fail(entry, error.code, for_good=_never(error))
        except Exception as error:
            log().error("sending failed", destination=destination.name, **describe(error))
            await self._fail(entry, "internal_error")
        else:
            await asyncio.to_thread(self._outbox.finish, entry, "sent")
            _log("sent", entry)

    async def _fail(self, entry: Delivery, code: str, for_good: bool = False) -> None:
        if for_good or entry.attempts >= self._settings.attempts:
            await asyncio.to_thread(self._outbox.finish, entry, "failed", code)
            _log("given up", entry, code)
        else:
            await asyncio.to_thread(self._outbox.put_off, entry, pause(self._settings, entry.attempts), code)
            _log("not sent", entry, code)


def orders_for_new_records(settings: Sending) -> tuple[Order, ...]:
    """Return the orders that come with every new record."""
    always = (destination for destination in settings.destinations if destination.name in settings.send_all)
    return tuple(Order(destination.name, kind) for destination in always for kind in destination.objects)


def _never(error: TriageError) -> bool:
    """Whether an object cannot be made, now or later: its file is gone, or does not allow it.

    A record that was deleted took its deliveries with it: there is nothing left to fail.
    """
    passing = isinstance(error, DecodeTimeout) or error.code == "decoder_failed"
    return isinstance(error, NotFound | InputError) and not passing


def pause(settings: Sending, attempts: int) -> timedelta:
    """How long to wait after so many attempts: twice as long each time, to an hour."""
    doubled: int = 2 ** min(attempts - 1, 20)
    return min(timedelta(seconds=settings.pause_seconds) * doubled, _LONGEST_PAUSE)


async def _send(destination: Destination, data: bytes) -> None:
    if destination.url is not None:
        await dicom_web.store(destination, data)
        return
    from service.sending import store_scu  # pynetdicom: only where there is an AE to send to

    await asyncio.to_thread(store_scu.store, destination, data)


def _log(event: str, entry: Delivery, code: str = "") -> None:
    told = {"destination": entry.destination, "object": entry.object, "attempt": entry.attempts}
    log().info(event, id=entry.prediction_id, **told, **({"code": code} if code else {}))

"""The sender: it renders and sends the objects in the outbox, and retries until they are sent or have failed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from operator import attrgetter

from service import metrics
from service.destinations import Destination, Sending
from service.errors import InputError, InvalidRequest, NotFound, TriageError, may_succeed_later
from service.objects.kinds import Kind
from service.sending import dicom_web, mllp, webhook
from service.sending.failure import SendingFailed
from service.sending.hl7_envelope import addressed, delivery_control_id
from service.storage.outbox import Delivery, Order, Outbox
from service.telemetry import describe, log
from service.threads import completed, finished

Render = Callable[[Delivery, Destination], Awaitable[bytes]]
LEASE = timedelta(seconds=30)  # time after which the deliveries of a killed process are claimed again
_RENEW_SECONDS = 10.0
POLL_SECONDS = 2.0  # delay until orders are noticed that were placed elsewhere, unless `wake` is called
_MAX_PAUSE = timedelta(hours=1)
_DAY_SECONDS = 86_400.0  # time after which an alert ends without acknowledgement
_ALERT_SECONDS = 300.0  # longest pause after a failed attempt at an alert that is not repeated


class Sender:
    """Accepts orders, and carries them out while `run` runs; a destination that is down does not delay the others.

    Parameters
    ----------
    render
        Returns what a delivery sends to its destination: a Part 10 file, or a message.
    """

    def __init__(self, outbox: Outbox, render: Render, settings: Sending) -> None:
        self._outbox, self._render, self._settings = outbox, render, settings
        self._ordered = {destination.name: asyncio.Event() for destination in settings.destinations}

    def wake(self) -> None:
        """Look for orders now, as another replica has placed some."""
        for ordered in self._ordered.values():
            ordered.set()

    async def order(self, id: str, destination: str, objects: Sequence[Kind] | None) -> tuple[Delivery, ...]:
        """Order objects of a record, by default those that the destination is configured for.

        Raises
        ------
        NotFound, InvalidRequest
            `unknown_destination`, `objects_unsuitable`
        """
        settings = self._settings.named(destination)
        if settings is None:
            raise InvalidRequest("destination is not in TRIAGE_SENDING__DESTINATIONS", "unknown_destination")
        if objects and not settings.takes_dicom:
            raise InvalidRequest("objects can be chosen for DICOM destinations only", "objects_unsuitable")
        alert = _repeats(settings)  # the outbox knows whether the result is urgent
        orders = [Order(settings.name, object, alert) for object in dict.fromkeys(objects or settings.kinds)]
        entries = await asyncio.to_thread(self._outbox.add, id, orders)
        self._ordered[settings.name].set()
        return entries

    async def entries(self, id: str) -> tuple[Delivery, ...]:
        """Return the deliveries of a record with their states."""
        return await asyncio.to_thread(self._outbox.list, id)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for destination in self._settings.destinations:
                tasks.create_task(self._serve(destination))

    async def _serve(self, destination: Destination) -> None:
        ordered = self._ordered[destination.name]
        while True:
            await asyncio.sleep(0)  # where a stop is noticed that has waited for a write
            ordered.clear()  # before the outbox is asked, so that no order is placed unnoticed in between
            try:
                entry = await completed(self._outbox.claim, destination.name, LEASE)
                if entry is not None:
                    await self._carry_out(entry, destination)
                    continue
            except Exception as error:  # a database error: the delivery is due again after the lease
                log().error("sending failed", destination=destination.name, **describe(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await ordered.wait()

    @asynccontextmanager
    async def _renewed(self, entry: Delivery) -> AsyncIterator[None]:
        """Renew the lease of a delivery in the block; no renewal follows what is written after the block."""
        renewal = asyncio.create_task(self._renew(entry))
        try:
            yield
        finally:
            renewal.cancel()
            await finished(renewal)

    async def _renew(self, entry: Delivery) -> None:
        """Renew the lease of a delivery until cancelled."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await completed(self._outbox.renew, entry, LEASE)
            except Exception as error:  # a database error: try again; if the lease ends, another replica sends
                log().error("the lease was not renewed", **describe(error))

    async def _carry_out(self, entry: Delivery, destination: Destination) -> None:
        try:
            async with self._renewed(entry):
                await _send(destination, entry, await self._render(entry, destination))
        except asyncio.CancelledError:
            with suppress(Exception):  # the database may be unavailable; the lease ends in any case
                # Due at once, for another replica or after a restart.
                await completed(self._outbox.put_off, entry, timedelta(), "interrupted")
            raise
        except SendingFailed as error:
            await self._fail(entry, destination, error.code)
        except TriageError as error:
            await self._fail(entry, destination, error.code, permanent=_is_permanent(error))
        except Exception as error:
            log().error("sending failed", destination=destination.name, **describe(error))
            await self._fail(entry, destination, "internal_error")
        else:
            await self._succeed(entry, destination)

    async def _succeed(self, entry: Delivery, destination: Destination) -> None:
        _log("sent", entry)
        if not entry.alert or destination.repeat_seconds is None:
            await completed(self._outbox.finish, entry, "sent")
        elif self._is_last(entry, destination):
            await completed(self._outbox.finish, entry, "failed", "not_acknowledged")
            _log("given up", entry, "not_acknowledged")
        else:
            await completed(self._outbox.repeat, entry, timedelta(seconds=destination.repeat_seconds))

    async def _fail(self, entry: Delivery, destination: Destination, code: str, permanent: bool = False) -> None:
        if permanent or self._is_last(entry, destination):
            await completed(self._outbox.finish, entry, "failed", code)
            _log("given up", entry, code)
        else:
            later = pause(self._settings, entry.attempts)
            if entry.alert:
                later = min(later, timedelta(seconds=destination.repeat_seconds or _ALERT_SECONDS))
            await completed(self._outbox.put_off, entry, later, code)
            _log("not sent", entry, code)

    def _is_last(self, entry: Delivery, destination: Destination) -> bool:
        """Whether no attempt follows: of an alert after about a day, of anything else after a number of attempts."""
        if entry.alert:
            return entry.attempts * (destination.repeat_seconds or _ALERT_SECONDS) >= _DAY_SECONDS
        return entry.attempts >= self._settings.attempts


def orders_for_new_records(settings: Sending, priority: str) -> tuple[Order, ...]:
    """Return the orders that are placed for every new record of a priority; those of escalations are due later."""
    destinations = (destination for destination in settings.destinations if destination.name in settings.send_all)
    orders = [order for destination in destinations for order in _orders(settings, destination, priority)]
    latest_first = sorted(orders, key=attrgetter("delay"), reverse=True)
    return tuple({(order.destination, order.object): order for order in latest_first}.values())  # the soonest of each


def _orders(settings: Sending, destination: Destination, priority: str) -> Iterator[Order]:
    kinds, urgent = destination.kinds_of_a_new_record(priority), priority == "STAT"
    for kind in kinds:
        yield Order(destination.name, kind, alert=urgent and _repeats(destination))
    for following, seconds in settings.escalations(destination) if urgent and kinds else ():
        yield Order(following.name, Kind.NOTIFICATION, alert=True, delay=timedelta(seconds=seconds))


def _repeats(destination: Destination) -> bool:
    return destination.protocol == "webhook" and destination.repeat_seconds is not None


def _is_permanent(error: TriageError) -> bool:
    """Whether an object can never be made, because its file is missing or unsuitable.

    A deleted record never leads here, as its deliveries were deleted with it.
    """
    return isinstance(error, NotFound | InputError) and not may_succeed_later(error)


def pause(settings: Sending, attempts: int) -> timedelta:
    """Return the time to wait after a number of attempts; it doubles each time, up to an hour."""
    doubled: int = 2 ** min(attempts - 1, 20)
    return min(timedelta(seconds=settings.pause_seconds) * doubled, _MAX_PAUSE)


async def _send(destination: Destination, entry: Delivery, data: bytes) -> None:
    match destination.protocol:
        case "dicomweb":
            await dicom_web.store(destination, data)
        case "dimse":
            from service.sending import store_scu  # imports pynetdicom, which only DIMSE destinations need

            await completed(store_scu.store, destination, data)
        case "hl7":
            await mllp.send(destination, addressed(data, destination, entry), delivery_control_id(entry))
        case "webhook":
            await webhook.post(destination, webhook.message_id(entry), data)


def _log(event: str, entry: Delivery, code: str = "") -> None:
    metrics.SENDS.labels(entry.destination, event.replace(" ", "_")).inc()
    fields = {"destination": entry.destination, "object": entry.object, "attempt": entry.attempts}
    log().info(event, id=entry.prediction_id, **fields, **({"code": code} if code else {}))

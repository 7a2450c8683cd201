"""The connections of the acceptor: how many there may be, and what becomes of one that fails or is one too many.

pynetdicom starts two threads for each connection and counts associations only when it negotiates, so that connections
which send nothing would take the places of those that do.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from socket import SHUT_RDWR, socket
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationServer

from service.telemetry import log

_REJECTED_TRANSIENT, _PRESENTATION_RELATED, _LOCAL_LIMIT_EXCEEDED = 2, 3, 2  # PS3.8 table 9-21
_ABORT = bytes.fromhex("07000000000400000200")  # A-ABORT by the service provider, PS3.8 9.3.8
_ROOM_SECONDS = 1.0
_LOG_SECONDS = 60.0
# pynetdicom polls each connection at 1 kHz: 31 that wait took 24 % of a core, and 8 % at 100 Hz.
_POLL_SECONDS, _WAITING_POLL_SECONDS = 0.001, 0.01


class Places:
    """Up to `associations` established associations, and up to `negotiating` connections that have not negotiated.

    Of the latter, the oldest is closed for a new one: a peer that means to negotiate does so in milliseconds.
    """

    def __init__(self, associations: int, negotiating: int) -> None:
        self._associations, self._negotiating = associations, negotiating
        self._established: WeakKeyDictionary[Association, None] = WeakKeyDictionary()
        self._waiting: WeakKeyDictionary[Association, None] = WeakKeyDictionary()  # oldest first
        self._closing: set[Association] = set()  # of those that wait
        self._lock = threading.Lock()
        self._closed, self._logged = 0, float("-inf")

    def admit(self) -> bool:
        """Make room for a new connection; return whether there is any. Only the server's thread calls this."""
        while len(waiting := self._living()) - len(self._closing) >= self._negotiating:
            oldest = next(association for association in waiting if association not in self._closing)
            self._closing.add(oldest)
            close(oldest)
            self._note_closed()
        deadline = time.monotonic() + _ROOM_SECONDS
        while len(self._living()) >= 2 * self._negotiating:  # those that are closed need a moment to end
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def enter(self, event: Event) -> None:
        """Count a new connection as not negotiated (evt.EVT_CONN_OPEN, before its threads start)."""
        association: Any = event.assoc
        association.dul._run_loop_delay = _WAITING_POLL_SECONDS
        for thread in (association, association.dul):
            thread.run = partial(_contained, thread.run, association)
        with self._lock:
            self._waiting[association] = None

    def request(self, event: Event) -> None:
        """Take a place for an association that is requested, or reject it (evt.EVT_REQUESTED)."""
        association: Any = event.assoc
        association.dul._run_loop_delay = _POLL_SECONDS
        with self._lock:
            full = sum(other.is_alive() for other in self._established) >= self._associations
            if not full:
                self._waiting.pop(association, None)
                self._established[association] = None
        if full:
            association.acse.send_reject(_REJECTED_TRANSIENT, _PRESENTATION_RELATED, _LOCAL_LIMIT_EXCEEDED)
            association.kill()

    def reject(self, event: Event) -> None:
        """Give back the place of an association that is rejected (evt.EVT_ACSE_SENT, before the peer can know)."""
        answer = event.primitive  # type: ignore[attr-defined]
        if not isinstance(answer, A_ASSOCIATE) or not answer.result:
            return
        with self._lock:
            self._established.pop(event.assoc, None)
            self._waiting[event.assoc] = None

    def leave(self, event: Event) -> None:
        """End the thread that waits for a request from a connection that is closed (evt.EVT_CONN_CLOSE)."""
        if event.assoc in self._waiting:
            event.assoc.dul.to_user_queue.put(None)  # as if the time for it were over

    def _living(self) -> list[Association]:
        with self._lock:
            for association in [other for other in self._waiting if not other.is_alive()]:
                del self._waiting[association]
            self._closing = {other for other in self._closing if other.is_alive()}
            return list(self._waiting)

    def _note_closed(self) -> None:
        self._closed += 1
        if time.monotonic() - self._logged > _LOG_SECONDS:  # a flood does not fill the log
            log().warning("connections closed that did not negotiate", count=self._closed)
            self._closed, self._logged = 0, time.monotonic()


class Server(AssociationServer):
    """pynetdicom's server, which accepts no more connections than there are places."""

    request_queue_size = 128  # connections that wait in the kernel while one is made room for

    def __init__(self, *arguments: Any, places: Places, **options: Any) -> None:
        self._places = places
        super().__init__(*arguments, **options)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether there is a place."""
        return self._places.admit()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log why a connection has no threads; by default its address and a traceback are printed."""
        if (error := sys.exception()) is not None:
            _log_end(error)

    def shutdown(self) -> None:
        """Stop to accept connections."""
        super(AssociationServer, self).shutdown()
        self.server_close()


def close(association: Any) -> None:
    """Close the connection of an association from another thread; its own threads then end."""
    connection = association.dul.socket.socket
    if connection is not None:
        with suppress(OSError):  # the peer was first
            socket.shutdown(connection, SHUT_RDWR)  # not that of an SSLSocket, which its own thread may be reading


def _contained(run: Callable[[], None], association: Any) -> None:
    """Run a thread of an association; if it fails on what a peer sent, end the association without a traceback."""
    try:
        run()
    except Exception as error:
        _log_end(error)
        if association.dul.socket.socket is not None:
            association.dul.socket.send(_ABORT)
        close(association)
        association.dul.kill_dul()
        association.dul.to_user_queue.put(None)


def _log_end(error: BaseException) -> None:
    """Log the class and the place of an error; what a peer sent costs it more than one line of the log."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    log().warning("association aborted", error=type(error).__name__, frame=f"{where.filename}:{where.lineno}")

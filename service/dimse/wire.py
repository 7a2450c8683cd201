"""Limits on what one connection may send and how long it may take.

pynetdicom itself reads any length that a peer announces, and waits for it as long as single bytes arrive.
"""

import ssl
from pathlib import Path
from time import monotonic
from typing import Any

from pynetdicom import evt
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, C_STORE_RSP
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE

from service.dimse.pdu import ASSOCIATE_RQ, KINDS, MAX_ITEMS, P_DATA, items, values
from service.dimse_settings import Dimse
from service.errors import ConfigurationError

# Also the limit of an A-ASSOCIATE-RQ, to which no negotiated length applies: 128 contexts with 30 syntaxes of 68 bytes
# are 261 kB.
MAX_PDU_BYTES = 2**20
_COMMAND_BYTES = 2**20  # allowance for the command set and the PDV headers of a message
# A message may have this many PDUs and PDVs, and another for each 128 bytes: senders fill PDUs of 4 KiB or more.
_PIECES, _PIECE_BYTES = 1024, 128
_READ_BYTES = 2**16


class Wire:
    """Limits the reads of all connections of one server; a connection over a limit is closed.

    Parameters
    ----------
    max_file_bytes
        Size limit of one data set; pynetdicom holds a whole message in memory.
    """

    def __init__(self, settings: Dimse, max_file_bytes: int) -> None:
        self._settings, self._max_message_bytes = settings, max_file_bytes + _COMMAND_BYTES

    def open(self, event: Event) -> None:
        """Limit a new connection before anything is read from it (evt.EVT_CONN_OPEN)."""
        association = event.assoc
        # Only the association refers to its meter, so both are freed together.
        meter = Meter(association, self._settings, self._max_message_bytes)
        connection: Any = association.dul.socket
        connection.recv = meter.recv
        association.bind(evt.EVT_ACSE_SENT, meter.sent)
        association.bind(evt.EVT_DIMSE_RECV, meter.message)
        association.bind(evt.EVT_DIMSE_SENT, meter.answered)


class Meter:
    """The reader of one connection, which knows how many bytes may still arrive, and until when.

    Parameters
    ----------
    association
        pynetdicom's Association; its socket is read.
    max_message_bytes
        Size limit of one message.
    """

    def __init__(self, association: Any, settings: Dimse, max_message_bytes: int) -> None:
        self._association, self._settings, self._max_message_bytes = association, settings, max_message_bytes
        self._kind: int | None = None  # of the PDU whose header is read, but not its body
        self._count = self._pieces = 0  # of the message; before the association, of all PDUs
        self._negotiated = self._refused = False
        self._opened = self._progress = self._message_began = self._pdu_began = monotonic()

    def recv(self, size: int) -> bytearray:
        """Read `size` bytes, fewer where the peer ends; pynetdicom asks for a header, then for the length in it.

        Raises
        ------
        OSError
            The PDU or the message is over a limit; pynetdicom treats this as the end of the connection.
        """
        if self._refused:  # pynetdicom may read on before it acts upon the end
            raise OSError("the connection is over a limit")
        try:
            return self._header(size) if self._kind is None else self._body(size)
        except OSError:
            self._refused = True
            raise

    def sent(self, event: Event) -> None:
        """Expect messages once the association is accepted (evt.EVT_ACSE_SENT, before the peer can know)."""
        answer = event.primitive  # type: ignore[attr-defined]
        if isinstance(answer, A_ASSOCIATE) and answer.result == 0:
            self._negotiated, self._progress = True, monotonic()
            self._count = self._pieces = 0

    def message(self, event: Event) -> None:
        """Begin to count anew, as a message is complete (evt.EVT_DIMSE_RECV); end the association at a foreign one."""
        self._count = self._pieces = 0
        if isinstance(event.message, C_STORE_RQ):
            self._progress = monotonic()
        elif not isinstance(event.message, C_ECHO_RQ):
            self._association.dul.event_queue.put("Evt19")  # as pynetdicom does with a message that is malformed

    def answered(self, event: Event) -> None:
        """Wait again for the next data set, however long the answer took (evt.EVT_DIMSE_SENT)."""
        if isinstance(event.message, C_STORE_RSP):
            self._progress = monotonic()
            self._association.dul._idle_timer.restart()

    def _header(self, size: int) -> bytearray:
        self._pdu_began = monotonic()
        if not self._count:
            self._message_began = self._pdu_began
            if self._negotiated and self._pdu_began - self._progress > self._settings.idle_seconds:
                raise OSError("no C-STORE for too long")
        if self._association.dimse.msg_queue.qsize() > 1:  # asynchronous operations were not negotiated, PS3.7 D.3.3.3
            raise OSError("requests sent without waiting for the answers")
        header = self._read(size)
        kind = header[0] if len(header) == size else None
        self._kind = kind if kind in KINDS else None  # pynetdicom does not ask for the body of another
        self._refused = self._kind is None  # and would answer every six bytes that follow with an abort
        return header

    def _body(self, size: int) -> bytearray:
        kind, self._kind = self._kind, None
        # Nothing but a request, and perhaps an abort, comes before the association.
        limit = self._max_message_bytes if self._negotiated else MAX_PDU_BYTES + 64
        if size > MAX_PDU_BYTES or self._count + size > limit:
            raise OSError("PDU or message too long")
        body = self._read(size)
        if kind == ASSOCIATE_RQ and items(body) > MAX_ITEMS:
            raise OSError("too many items")
        self._pieces += 1 + (values(body) if kind == P_DATA else 0)
        if self._pieces > _PIECES + self._count // _PIECE_BYTES:
            raise OSError("too many pieces")
        return body

    def _read(self, size: int) -> bytearray:
        data, filled = bytearray(size), 0
        with memoryview(data) as view:
            while filled < size:
                connection = self._association.dul.socket.socket
                remaining = self._deadline() - monotonic()
                if connection is None or remaining <= 0:
                    raise OSError("closed, or not whole in time")
                connection.settimeout(remaining)
                read = connection.recv_into(view[filled:], min(size - filled, _READ_BYTES))
                connection.settimeout(self._settings.pdu_seconds)  # applies to answers
                if not read:
                    break
                filled += read
                self._count += read
        return data[:filled] if filled < size else data

    def _deadline(self) -> float:
        """Return when a read must end, on the monotonic clock; the more has arrived, the longer a message may take."""
        settings = self._settings
        if not self._negotiated:
            return self._opened + min(settings.negotiation_seconds, settings.idle_seconds)
        seconds = settings.pdu_seconds + self._count / settings.minimum_bytes_per_second
        return min(self._pdu_began + settings.pdu_seconds, self._message_began + seconds)


class TlsContext(ssl.SSLContext):
    """A context whose handshake is part of the first read, in the association's thread: it cannot block the server."""

    def wrap_socket(self, sock: Any, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap a socket without a handshake."""
        return super().wrap_socket(sock, *arguments, **options | {"do_handshake_on_connect": False})


def tls_context(certificate: Path | None, key: Path | None, ca: Path | None) -> ssl.SSLContext | None:
    """Return the server's context, TLS 1.2 or newer (BCP 195 profiles, PS3.15 B.12); None without a certificate.

    Raises
    ------
    ConfigurationError
        A file cannot be read or is not PEM.
    """
    if certificate is None:
        if key or ca:
            raise ConfigurationError("TRIAGE_DIMSE__TLS_CERTIFICATE is required with the other TLS settings")
        return None
    context = TlsContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if ca is not None:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # also an SSLError
        raise ConfigurationError(f"the TLS files of TRIAGE_DIMSE cannot be used: {error.strerror}") from None
    return context

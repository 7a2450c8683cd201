"""Limits on what one connection may send: pynetdicom itself reads any length that a peer announces."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event

from service.errors import ConfigurationError

# Also the limit of an A-ASSOCIATE-RQ, to which no negotiated length applies: 128 contexts with 30 syntaxes of 68 bytes
# are 261 kB.
MAX_PDU_BYTES = 2**20
_COMMAND_BYTES = 2**20  # allowance for the command set and the PDV headers of a message


class Wire:
    """Limits the reads of all connections of one server; a connection over a limit is closed.

    Parameters
    ----------
    max_message_bytes
        Size limit of one data set; pynetdicom holds a whole message in memory.
    idle_seconds
        Time limit between two reads inside a PDU; an accepted socket has no timeout by default.
    """

    def __init__(self, max_message_bytes: int, idle_seconds: float) -> None:
        self._max_message_bytes = max_message_bytes + _COMMAND_BYTES
        self._idle_seconds = idle_seconds

    def open(self, event: Event) -> None:
        """Limit a new connection before anything is read from it (evt.EVT_CONN_OPEN)."""
        association = event.assoc
        connection: Any = association.dul.socket
        connection.socket.settimeout(self._idle_seconds)
        # Only the association refers to its meter, so both are freed together.
        meter = Meter(connection.recv, self._max_message_bytes, association.dimse.msg_queue.qsize)
        connection.recv = meter.recv
        association.bind(evt.EVT_DIMSE_RECV, meter.message)


class Meter:
    """The reader of one connection, which counts the bytes of the message being received.

    Parameters
    ----------
    max_message_bytes
        Size limit of one message.
    waiting
        Returns the number of complete messages that are not processed yet.
    """

    def __init__(self, recv: Callable[[int], bytearray], max_message_bytes: int, waiting: Callable[[], int]) -> None:
        self._recv, self._max_message_bytes, self._waiting = recv, max_message_bytes, waiting
        self._count = 0

    def recv(self, size: int) -> bytearray:
        """Read `size` bytes; pynetdicom asks for a header, then for the length in that header.

        Raises
        ------
        OSError
            The PDU or the message is over its limit; pynetdicom treats this as the end of the connection.
        """
        self._count += size
        if size > MAX_PDU_BYTES or self._count > self._max_message_bytes:
            raise OSError("PDU or message too long")
        if self._waiting() > 1:  # asynchronous operations were not negotiated (PS3.7 D.3.3.3)
            raise OSError("requests sent without waiting for the answers")
        return self._recv(size)

    def message(self, _: Event) -> None:
        """Reset the count: a message is complete (evt.EVT_DIMSE_RECV)."""
        self._count = 0


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

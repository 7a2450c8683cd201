"""Bounds on what one connection may send, kept where the bytes come in: pynetdicom reads what the peer announces."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event

from service.errors import ConfigurationError

# Also of an A-ASSOCIATE-RQ, which no negotiated length bounds: 128 contexts with 30 syntaxes of 68 bytes are 261 kB.
MAX_PDU_BYTES = 2**20
_COMMAND_BYTES = 2**20  # a command set and the headers of the PDVs beside a data set


class Wire:
    """Reads from the connections of one server, each within bounds; beyond them the connection is as good as closed.

    Parameters
    ----------
    max_message_bytes
        Of one message, which pynetdicom holds whole.
    idle_seconds
        Between two reads in the midst of a PDU: an accepted socket has no timeout of its own.
    """

    def __init__(self, max_message_bytes: int, idle_seconds: float) -> None:
        self._max_message_bytes = max_message_bytes + _COMMAND_BYTES
        self._idle_seconds = idle_seconds

    def open(self, event: Event) -> None:
        """Take a new connection under control, before anything is read (evt.EVT_CONN_OPEN)."""
        association = event.assoc
        connection: Any = association.dul.socket
        connection.socket.settimeout(self._idle_seconds)
        # The association alone holds its meter, which holds it: they go together.
        meter = Meter(connection.recv, self._max_message_bytes, association.dimse.msg_queue.qsize)
        connection.recv = meter.recv
        association.bind(evt.EVT_DIMSE_RECV, meter.message)


class Meter:
    """One connection's reader, which counts the bytes of the message that is being received.

    Parameters
    ----------
    waiting
        How many messages are received whole and not yet looked at.
    """

    def __init__(self, recv: Callable[[int], bytearray], most: int, waiting: Callable[[], int]) -> None:
        self._recv, self._most, self._waiting = recv, most, waiting
        self._count = 0

    def recv(self, wanted: int) -> bytearray:
        """Read as many bytes; pynetdicom asks for a header, then for as much as that announces.

        Raises
        ------
        OSError
            They are more than a PDU, or than is left of a message; pynetdicom takes it as the end of the connection.
        """
        self._count += wanted
        if wanted > MAX_PDU_BYTES or self._count > self._most:
            raise OSError("a longer PDU or message than is taken")
        if self._waiting() > 1:  # no asynchronous operations were negotiated (PS3.7 D.3.3.3): each waits for its answer
            raise OSError("requests that do not wait for an answer")
        return self._recv(wanted)

    def message(self, _: Event) -> None:
        """Begin to count anew, as a message is complete (evt.EVT_DIMSE_RECV)."""
        self._count = 0


class TlsContext(ssl.SSLContext):
    """A context whose handshake is done by the first read, in the association's thread: none holds the others up."""

    def wrap_socket(self, sock: Any, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap without a handshake."""
        return super().wrap_socket(sock, *arguments, **options | {"do_handshake_on_connect": False})


def tls_context(certificate: Path | None, key: Path | None, ca: Path | None) -> ssl.SSLContext | None:
    """Make the server's context: TLS 1.2 or newer, as the BCP 195 profiles of PS3.15 B.12 have it. None: no TLS.

    Raises
    ------
    ConfigurationError
        A file cannot be read or is not PEM.
    """
    if certificate is None:
        if key or ca:
            raise ConfigurationError("TRIAGE_DIMSE__TLS_CERTIFICATE is wanted beside the other TLS settings")
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

"""A DICOM peer that writes its own bytes (PS3.8 9.3, PS3.7 9.3), so that they may be wrong."""

import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, ImplicitVRLittleEndian

VERIFICATION = "1.2.840.10008.1.1"
STORAGE = str(DigitalXRayImageStorageForPresentation)
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
ECHO, STORE, FIND, EVENT_REPORT = 0x0030, 0x0001, 0x0020, 0x0100  # PS3.7 E.1
ACCEPTED, REJECTED, DATA, ABORTED = 2, 3, 4, 7  # kinds of PDU, PS3.8 9.3.1
Context = tuple[int, str, tuple[str, ...]]
CONTEXTS: tuple[Context, ...] = (
    (1, VERIFICATION, (ImplicitVRLittleEndian,)),
    (3, STORAGE, (ExplicitVRLittleEndian,)),
)


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def context_item(context: Context) -> bytes:
    number, sop_class, syntaxes = context
    parts = [item(0x30, sop_class.encode()), *(item(0x40, syntax.encode()) for syntax in syntaxes)]
    return item(0x20, bytes([number, 0, 0, 0]) + b"".join(parts))


def user_information(maximum_length: int = 16384) -> bytes:
    return item(0x51, struct.pack(">L", maximum_length)) + item(0x52, b"2.25.77")


def request(
    contexts: tuple[Context, ...] = CONTEXTS,
    called: bytes = b"TRIAGE",
    calling: bytes = b"PEER",
    user: bytes | None = None,
) -> bytes:
    """Return an A-ASSOCIATE-RQ."""
    head = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    items = [item(0x10, APPLICATION_CONTEXT.encode()), *map(context_item, contexts)]
    return pdu(1, head + b"".join(items) + item(0x50, user_information() if user is None else user))


def value(context: int, data: bytes, command: bool = False, last: bool = True) -> bytes:
    """Return a presentation data value (PS3.8 9.3.5.1)."""
    return struct.pack(">LBB", len(data) + 2, context, command + 2 * last) + data


def element(number: int, data: bytes) -> bytes:
    """Return an element of group 0000, Implicit VR Little Endian."""
    return struct.pack("<HHL", 0, number, len(data)) + data


def uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text.encode()) % 2)


def command(field: int, sop_class: str, instance: str | None = None, number: int = 1) -> bytes:
    """Return the command set of a request; with an instance, a data set follows."""
    elements = element(0x0002, uid(sop_class)) + element(0x0100, struct.pack("<H", field))
    elements += element(0x0110, struct.pack("<H", number)) + element(0x0700, struct.pack("<H", 0))
    elements += element(0x0800, struct.pack("<H", 0x0101 if instance is None else 1))
    if instance is not None:
        elements += element(0x1000, uid(instance))
    return element(0, struct.pack("<L", len(elements))) + elements


def echo() -> bytes:
    return pdu(DATA, value(1, command(ECHO, VERIFICATION), command=True))


def store(data: bytes, instance: str = "2.25.1003") -> bytes:
    """Return a C-STORE request whose data set is one PDV."""
    head = pdu(DATA, value(3, command(STORE, STORAGE, instance), command=True))
    return head + pdu(DATA, value(3, data))


def receive(connection: socket.socket) -> tuple[int, bytes] | None:
    """Return kind and body of the next PDU; None at the end of the connection."""
    head = exactly(connection, 6)
    if head is None:
        return None
    kind, length = struct.unpack(">BxL", head)
    body = exactly(connection, length)
    return None if body is None else (kind, body)


def exactly(connection: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        try:
            part = connection.recv(size - len(data))
        except ConnectionError:
            return None
        if not part:
            return None
        data += part
    return data


def status(answer: tuple[int, bytes] | None) -> int:
    """Return the status (0000,0900) of a DIMSE response in one PDV."""
    assert answer is not None, "the connection ended"
    kind, body = answer
    assert kind == DATA, kind
    place = body.index(struct.pack("<HHL", 0, 0x0900, 2))
    return int(struct.unpack_from("<H", body, place + 8)[0])


def until_the_end(connection: socket.socket) -> list[int]:
    """Return the kinds of the PDUs that arrive before the connection ends."""
    kinds = []
    while (answer := receive(connection)) is not None:
        kinds.append(answer[0])
    return kinds


@contextmanager
def connected(port: int, seconds: float = 60.0) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        yield connection


def send_no_more(connection: socket.socket) -> None:
    """Tell the other side that nothing follows."""
    with suppress(OSError):  # it may have ended the connection already
        connection.shutdown(socket.SHUT_WR)


@contextmanager
def associated(
    port: int, contexts: tuple[Context, ...] = CONTEXTS, tls: ssl.SSLContext | None = None
) -> Iterator[socket.socket]:
    """Negotiate an association, which must be accepted."""
    with ExitStack() as stack:
        connection = stack.enter_context(connected(port))
        if tls is not None:
            connection = stack.enter_context(tls.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(request(contexts))
        answer = receive(connection)
        assert answer is not None, "the connection ended"
        assert answer[0] == ACCEPTED, answer[0]
        yield connection


@contextmanager
def admitted(port: int, seconds: float = 60.0, tls: ssl.SSLContext | None = None) -> Iterator[socket.socket]:
    """As `associated`; tries again while a place is not free yet, and if the time to negotiate was over on the way."""
    deadline = time.monotonic() + seconds
    with ExitStack() as stack:
        while True:
            try:
                connection = stack.enter_context(associated(port, tls=tls))
            except (AssertionError, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                break
        yield connection

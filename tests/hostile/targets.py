"""What any bytes may do to the reader, the parser of STOW-RS bodies and the reader of PDUs: nothing but be refused.

Each target takes bytes and raises where they do more. `guided.py` looks for such bytes; `test_corpus.py` runs those of
the repository.
"""

import asyncio
import logging
import queue
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation, AssociationSocket

from service.dicom.policy import Policy
from service.dicom.radiograph import radiograph
from service.dicom.reader import Bounds
from service.dicom_web.multipart import Part, parse_content_type, parts
from service.dimse.acceptor import Acceptor, Counter, application_entity
from service.dimse.places import Places
from service.dimse.status import SUCCESS, Status
from service.dimse.wire import Wire
from service.dimse_settings import Dimse
from service.errors import TriageError
from service.storage.incoming import Incoming
from tests.conftest import ROOT

BOUNDS = Bounds(max_file_bytes=2**20, max_pixels=2**18)
TURNS = 20_000
_FILE_BYTES = 2**17  # limit of a part, and of a data set

for _name in ("pynetdicom", "pydicom", "python_multipart"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


def reader(data: bytes) -> None:
    """Read, check and decode a file: an image with values in [0, 1], or an error of the tree."""
    with warnings.catch_warnings(action="ignore"):
        try:
            image = radiograph(data, BOUNDS, Policy())
        except (TriageError, MemoryError):
            return
    assert image.values.ndim == 2
    assert np.isfinite(image.values).all()
    assert image.values.min() >= 0
    assert image.values.max() <= 1


def store(data: bytes) -> None:
    """Take a multipart body apart; its first line is the Content-Type.

    No part is longer than the body or the limit, and each lies in the body as it is.
    """
    head, _, body = data.partition(b"\n")
    _, _, boundary = parse_content_type(head.decode("latin-1"))
    with suppress(TriageError):
        for content in _runner().run(_contents(body, boundary)):
            assert content in body
            assert len(content) <= _FILE_BYTES


class _Memory:
    """A file that arrives, in memory."""

    def __init__(self) -> None:
        self.content, self.closed = b"", False

    def write(self, chunks: Iterable[bytes]) -> None:
        assert not self.closed
        self.content += b"".join(chunks)

    def close(self) -> None:
        self.closed = True


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


async def _contents(body: bytes, boundary: bytes) -> list[bytes]:
    files: list[_Memory] = []

    def start() -> Incoming:
        files.append(_Memory())
        return files[-1]  # type: ignore[return-value]

    async def chunks() -> AsyncIterator[bytes]:
        size = 1 if len(body) < 1000 else (61, 4096, 2**20)[len(body) % 3]
        for first in range(0, len(body), size):
            yield body[first : first + size]

    contents = []
    try:
        async for part in parts(chunks(), boundary, _FILE_BYTES, start):
            contents += _content(part)
    finally:
        assert all(file.closed for file in files)
    return contents


def _content(part: Part) -> list[bytes]:
    return [part.content.content] if isinstance(part.content, _Memory) else []


def pdus(data: bytes) -> None:
    """Let a peer send bytes to the acceptor, waiting for each answer, in this thread.

    They are answered with few bytes in few steps; what fails, fails in pynetdicom, whose threads are contained.
    """
    peer = _Peer(data)
    association = _association(peer)
    turns = 0
    try:
        while _turn(association):
            turns += 1
            assert turns < TURNS, "it does not end"
    except AssertionError:
        raise
    except Exception as error:
        where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        if where.is_relative_to(ROOT / "service"):
            raise
    assert peer.sent <= 20 * len(data) + 4096


class _Peer:
    """In place of a socket: a peer that sends `data`, and then ends the connection."""

    def __init__(self, data: bytes) -> None:
        self._data, self.sent, self.ended = memoryview(data), 0, False

    def recv_into(self, view: memoryview, size: int) -> int:
        part, self._data = self._data[:size], self._data[size:]
        view[: len(part)] = part
        return len(part)

    def send(self, data: bytes) -> int:
        self.sent += len(data)
        return len(data)

    def settimeout(self, _: float) -> None: ...
    def shutdown(self, _: int) -> None: ...
    def close(self) -> None: ...


class _Socket(AssociationSocket):
    @property
    def ready(self) -> bool:
        return self.socket is not None and self._is_connected


class _Forward:
    """In place of the service: every data set is stored."""

    def store(self, data: bytes, instance: str, _request_id: str) -> Status:
        assert len(data) < 2 * _FILE_BYTES + 2**20
        instance.encode("ascii")
        return Status(SUCCESS)


@cache
def _entity() -> AE:
    return application_entity(Dimse())


def _association(peer: _Peer) -> Association:
    """Return an association as the acceptor's server makes it, whose threads are not started."""
    acceptor: Any = object.__new__(Acceptor)
    acceptor._forward, acceptor._stores, acceptor._closing = _Forward(), Counter(), False
    entity = _entity()
    association: Any = Association(entity, "acceptor")
    association.set_socket(_Socket(association, client_socket=peer))  # type: ignore[arg-type]
    user = association.acceptor
    user.maximum_length, user.ae_title = entity.maximum_pdu_size, entity.ae_title
    user.implementation_class_uid = entity.implementation_class_uid
    user.supported_contexts = entity.supported_contexts
    user.address_info = association.requestor.address_info = AddressInformation("127.0.0.1", 11112)
    association.abort = association._abort_nonblocking
    places = Places(10, 10)
    handlers: tuple[tuple[Any, Callable[..., Any]], ...] = (
        (evt.EVT_CONN_OPEN, Wire(Dimse(), _FILE_BYTES).open),
        (evt.EVT_CONN_CLOSE, places.leave),
        (evt.EVT_REQUESTED, places.request),
        (evt.EVT_ACSE_SENT, places.reject),
        (evt.EVT_C_STORE, acceptor._store),
    )
    for event, handler in handlers:
        association.bind(event, handler)
    evt.trigger(association, evt.EVT_CONN_OPEN, {"address": ("127.0.0.1", 1)})
    return association


def _turn(association: Any) -> bool:
    """Take one step of the association's two threads; return whether there may be another."""
    dul = association.dul
    if dul._kill_thread:
        return False
    if dul.event_queue.empty() and not dul._process_recv_primitive() and not _served(association):
        dul._is_transport_event()
    with suppress(queue.Empty):
        dul.state_machine.do_action(dul.event_queue.get(block=False))
    return not (dul._kill_thread or association._kill)


def _served(association: Any) -> bool:
    """Do what pynetdicom's thread of an association does, once; return whether there was anything to do."""
    waiting = association.dul.peek_next_pdu()
    if isinstance(waiting, A_ASSOCIATE):
        association.requestor.primitive = association.dul.receive_pdu()
        evt.trigger(association, evt.EVT_REQUESTED, {})
        if not (association.is_aborted or association.is_rejected):
            association.acse.negotiate_association()
        return True
    if not association.is_established:
        return False
    context, message = association.dimse.get_msg()
    if message is not None:
        association._serve_request(message, context)
    elif association.acse.is_release_requested():
        association.acse.send_release(is_response=True)
        association.is_established = False
    else:
        return False
    return True


TARGETS: dict[str, Callable[[bytes], None]] = {"reader": reader, "store": store, "pdus": pdus}

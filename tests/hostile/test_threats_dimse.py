"""Attacks by DIMSE that were published in 2025 and 2026, on the two processes as an administrator starts them.

Each test names its source. Half-open associations are in `tests/service/dimse/test_places.py`.
"""

import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from bench.processes import memory_bytes, tree
from tests.hostile import dicom
from tests.hostile.generators import SIZE, good
from tests.service.dimse import peer
from tests.service.dimse.crowd import crowd
from tests.service.dimse.serving import Process, acceptor, environment, service

FIND = "1.2.840.10008.5.1.4.1.2.1.1"  # Patient Root Query/Retrieve Information Model – FIND
ABORTS = [], [peer.ABORTED], [peer.ABORTED] * 2  # each of the two threads of an association may send one
HOSTILE = {
    "parent": "../../../../tmp/out",
    "absolute": "/tmp/out",
    "windows": "..\\..\\out",
    "nul": "1.2\0/../out",
    "fullwidth": "１.２.３",
    "override": "1.2\u202e3",
    "shell": "1.2;touch$(id)`id`|x",
    "newline": '1.2\n{"event": "stored"}',
    "long": "1" * 3000,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("threats")


@pytest.fixture(scope="module")
def processes(artefact: Path, folder: Path) -> Iterator[tuple[Process, Process]]:
    variables = environment(artefact, folder, TRIAGE_LIMITS__MAX_FILE_BYTES=str(16 * 2**20))
    with service(variables, folder / "service.log") as http, acceptor(variables, http.address, folder / "log") as dimse:
        yield http, dimse


@pytest.fixture(autouse=True)
def _the_next_good_request_is_answered(processes: tuple[Process, Process]) -> Iterator[None]:
    yield
    with peer.admitted(processes[1].port) as connection:  # the places of those before may not be free yet
        connection.sendall(peer.echo())
        assert peer.status(peer.receive(connection)) == 0
    response = httpx.get(f"{processes[0].address}/readyz", timeout=30)
    assert response.status_code == 200


def data_set(instance: str, study: str = "2.25.1001", series: str = "2.25.1002") -> bytes:
    """Return the data set of a good radiograph with these UIDs."""
    file = dicom.radiograph(bytes(SIZE * SIZE), SIZE, SIZE, 8, dicom.EXPLICIT, instance)
    for tag, value in ((0x0020000D, study), (0x0020000E, series)):
        file = dicom.with_element(file, dicom.Element(tag, "UI", dicom.uid(value)))
    return b"".join(map(dicom.encoded, file.elements))


def sent(port: int, pdus: bytes, contexts: tuple[peer.Context, ...] = peer.CONTEXTS) -> list[int]:
    """Send PDUs on an association and return the statuses of the answers before it ends; it is released at last."""
    statuses = []
    with peer.associated(port, contexts) as connection:
        try:
            connection.sendall(pdus + peer.pdu(5, bytes(4)))
        except ConnectionError:  # it ended the association before the end of what was sent
            return statuses
        while (answer := peer.receive(connection)) is not None:
            if answer[0] == peer.DATA:
                statuses.append(peer.status(answer))
    return statuses


def logged(processes: tuple[Process, Process]) -> str:
    return "".join(process.log.read_text() for process in processes)


def stored_files(folder: Path) -> set[str]:
    """Return all files under the folder of both processes, without the database's own."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".sqlite" not in path.name
    }


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_uid_of_a_c_store_leads_out_of_the_folder_or_into_the_log(
    processes: tuple[Process, Process], folder: Path, text: str
) -> None:
    """CVE-2026-50003, 52868, 5663: in the command, in the data set, and as its study and series."""
    before = stored_files(folder)
    statuses = [
        sent(processes[1].port, peer.store(data_set(text), text)),
        sent(processes[1].port, peer.store(data_set("2.25.901"), text)),
        sent(processes[1].port, peer.store(data_set(text), "2.25.902")),
    ]
    placed = sent(processes[1].port, peer.store(data_set("2.25.903", text, text), "2.25.903"))

    assert {status for some in statuses for status in some} <= {0xC000, 0xA900}, statuses  # the sender gives up
    names = stored_files(folder) - before
    assert len(names) <= (0 in placed), names  # such a study is refused or stored under a name of the service's own
    assert not any(part in name for name in names for part in ("..", "out", ";", "$", "\n", text))
    assert not Path("/tmp/out").exists()
    assert text not in logged(processes)
    assert text.encode("unicode_escape").decode() not in logged(processes)


@pytest.mark.parametrize("title", [b"A;touch$(id)", b"`id`|x", b'A\n{"event":1}', b"..\\../x", b"\xff\xfe\0\x1b[31m"])
def test_no_ae_title_gets_into_the_log(processes: tuple[Process, Process], title: bytes) -> None:
    """CVE-2026-5663."""
    for called, calling in ((title, b"PEER"), (b"TRIAGE", title), (title, title)):
        with peer.connected(processes[1].port) as connection:
            connection.sendall(peer.request(called=called, calling=calling) + peer.echo() + peer.pdu(5, bytes(4)))
            peer.until_the_end(connection)

    assert title.decode("latin-1") not in logged(processes)
    assert title.decode("latin-1").encode("unicode_escape").decode() not in logged(processes)
    assert "touch" not in logged(processes)


def test_a_query_is_not_supported_and_does_no_harm(processes: tuple[Process, Process]) -> None:
    """CVE-2026-35505, 44628: crash by query."""
    query = peer.pdu(4, peer.value(1, peer.command(peer.FIND, FIND, ""), command=True) + peer.value(1, b"\x08\0" * 500))
    contexts = (*peer.CONTEXTS, (5, FIND, (ImplicitVRLittleEndian,)))
    with peer.associated(processes[1].port, contexts) as connection:
        connection.sendall(query)
        assert peer.until_the_end(connection) in ABORTS[1:]
    with peer.connected(processes[1].port) as connection:
        connection.sendall(peer.request(((5, FIND, (ImplicitVRLittleEndian,)),)))
        answer = peer.receive(connection)
        assert answer is not None
        assert (
            bytes([0x21, 0, 0, 0x19, 5, 0, 3, 0]) in answer[1] or b"\x05\0\x03\0" in answer[1]
        )  # PS3.8 table 9-18: abstract syntax


def test_a_deflated_data_set_is_inflated_within_the_limit(processes: tuple[Process, Process]) -> None:
    """pynetdicom#1086, CVE-2026-5438: 512 MB of zeros in half a megabyte; the limit here is 16 MiB."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = data_set("2.25.905")[: -SIZE * SIZE - 12]
    element = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 2**29)
    bomb = deflater.compress(head + element)
    bomb += b"".join(deflater.compress(bytes(2**20)) for _ in range(512)) + deflater.flush()
    contexts = ((1, peer.VERIFICATION, (ImplicitVRLittleEndian,)), (3, peer.STORAGE, (DeflatedExplicitVRLittleEndian,)))
    before = memory_bytes(tree(processes[0].process.pid) | tree(processes[1].process.pid))

    statuses = sent(processes[1].port, peer.store(bomb, "2.25.905"), contexts)

    after = memory_bytes(tree(processes[0].process.pid) | tree(processes[1].process.pid))
    assert statuses in ([0xA700], [0xC000])
    assert '"inflated_too_large"' in logged(processes)
    assert after - before < 100 * 2**20


@pytest.mark.parametrize("together", [True, False])
def test_a_data_set_in_values_of_a_byte_is_not_received(processes: tuple[Process, Process], together: bool) -> None:
    """pynetdicom#1086. Each value costs an object; senders fill PDUs of 4 KiB or more."""
    command = peer.pdu(4, peer.value(3, peer.command(peer.STORE, peer.STORAGE, "2.25.906"), command=True))
    value = peer.value(3, b"\0", last=False)
    data = peer.pdu(4, value * 100_000) if together else peer.pdu(4, value) * 100_000

    start = time.monotonic()
    assert sent(processes[1].port, command + data) == []
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("user", [False, True])
def test_a_request_with_a_hundred_thousand_items_is_not_decoded(processes: tuple[Process, Process], user: bool) -> None:
    """pynetdicom#1086."""
    items = peer.item(0x50, peer.item(0x59, b"") * 16_000) * 7 if user else peer.item(0x20, b"\1\0\0\0") * 100_000
    start = time.monotonic()
    with peer.connected(processes[1].port) as connection:
        connection.sendall(peer.pdu(1, peer.request()[6:74] + items))
        assert peer.until_the_end(connection) in ABORTS
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("kind", [0x10, 0x20, 0x30, 0x40, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58])
def test_a_wrong_length_of_an_item_ends_the_negotiation_or_is_read_right(
    processes: tuple[Process, Process], kind: int
) -> None:
    """pynetdicom#1086: each item and sub-item with lengths that are too short and too long."""
    user = peer.user_information() + b"".join(
        peer.item(kind, body)
        for kind, body in (
            (0x53, bytes(4)),
            (0x54, struct.pack(">H", 17) + b"1.2.840.10008.1.1" + b"\1\1"),
            (0x55, b"NAME"),
            (0x56, struct.pack(">H", 3) + b"1.2" + b"xx"),
            (0x57, struct.pack(">HH", 3, 0) + b"1.2"),
            (0x58, struct.pack(">BBH", 1, 0, 4) + b"user" + struct.pack(">H", 0)),
        )
    )
    request = peer.request(user=user)
    place = request.index(bytes([kind, 0]), 74)
    for length in (0, 1, 3, 255, 65535):
        wrong = request[: place + 2] + struct.pack(">H", length) + request[place + 4 :]
        with peer.connected(processes[1].port) as connection:
            connection.sendall(wrong + peer.pdu(5, bytes(4)))
            peer.send_no_more(connection)
            assert peer.until_the_end(connection)[:1] in ([], [peer.ACCEPTED], [peer.REJECTED], [peer.ABORTED])


def test_a_hostile_request_costs_few_bytes_of_the_log(processes: tuple[Process, Process]) -> None:
    """sdc11073#522, fo-dicom#1678: logs amplified a thousand times."""
    requests = [
        b"GET / HTTP/1.1\r\n\r\n",
        peer.request(called=b"X" * 16),
        peer.request(user=peer.item(0x51, b"")),
        peer.request() + peer.pdu(4, peer.value(1, b"", command=True)),
        peer.request() + peer.pdu(4, struct.pack(">L", 0)),
        peer.request() + peer.store(b"", "1" * 3000),
        peer.request() + peer.store(b"\xff" * 100),
        peer.pdu(1, b""),
        b"",
    ]
    for data in requests:
        before = len(logged(processes))
        for _ in range(5):
            with peer.connected(processes[1].port) as connection:
                connection.sendall(data)
                peer.send_no_more(connection)
                peer.until_the_end(connection)
        assert len(logged(processes)) - before < 5 * 1000, data[:20]
    assert "Traceback" not in logged(processes)


def test_http_on_the_port_of_dicom_is_refused(processes: tuple[Process, Process]) -> None:
    """io-dicom#35."""
    with peer.connected(processes[1].port) as connection:
        connection.sendall(b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + good("http"))
        connection.settimeout(60)
        received = b"".join(iter(lambda: _received(connection), b""))
    assert b"HTTP" not in received
    assert len(received) < 1000


def test_dicom_on_the_port_of_http_is_refused(processes: tuple[Process, Process]) -> None:
    """io-dicom#35."""
    with peer.connected(processes[0].port) as connection:
        connection.sendall(peer.request() + b"\r\n\r\n")
        received = b"".join(iter(lambda: _received(connection), b""))
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"TRIAGE" not in received


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(2**16)
    except ConnectionError:
        return b""


def test_a_thousand_aborted_associations_leave_nothing_behind(processes: tuple[Process, Process]) -> None:
    """CVE-2026-50254."""
    dimse = processes[1]
    half = peer.request() + peer.pdu(4, peer.value(3, peer.command(peer.STORE, peer.STORAGE, "2.25.907"), command=True))
    abort = half + peer.pdu(7, b"\0\0\0\0")
    _many(dimse.port, 200, half, abort)
    before = memory_bytes(tree(dimse.process.pid))
    with crowd(dimse.port, 200, half):
        _many(dimse.port, 1000, half, abort)
    after = memory_bytes(tree(dimse.process.pid))

    assert after - before < 20 * 2**20, (before, after)


def _many(port: int, count: int, *starts: bytes) -> None:
    """Open connections one after another, and end each by a reset or an abort."""
    for number in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by RST
            try:
                connection.sendall(starts[number % len(starts)])
                if number % 4 < 2:
                    connection.recv(1)
            except ConnectionError:
                pass

"""The MLLP client against the servers of python-hl7 and hl7apy, and against peers that break the protocol."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hl7
import pytest
from hl7apy.mllp import AbstractHandler, MLLPServer

from service.destinations import Destination
from service.sending import mllp
from service.sending.failure import SendingFailed
from service.sending.mllp import failure
from tests.ports import refusing
from tests.service.objects.rendered import rendered
from tests.service.sending.certificates import Pki
from tests.service.sending.mllp_receiver import accept, receiver

MESSAGE = rendered("hl7")
ID = str(hl7.parse(MESSAGE.decode()).segment("MSH")[10])


def sent(port: int, **keys: Any) -> str:
    """Send the message, and return the code of the failure or an empty string."""
    destination = Destination(name="board", protocol="hl7", host="127.0.0.1", port=port, **keys)
    try:
        asyncio.run(mllp.send(destination, MESSAGE, ID))
    except SendingFailed as error:
        return error.code
    return ""


def test_the_message_arrives_unchanged() -> None:
    received: list[str] = []

    def keep(message: hl7.Message) -> bytes:
        received.append(str(message))
        return accept(message)

    with receiver(keep) as port:
        assert sent(port) == ""
    assert received == [MESSAGE.decode()]


def test_another_librarys_server_receives_it() -> None:
    received: list[str] = []

    class Keep(AbstractHandler):  # type: ignore[misc]
        def reply(self) -> str:
            received.append(self.incoming_message)
            return f"\x0bMSH|^~\\&|||||||ACK^R01|1|P|2.5.1\rMSA|AA|{ID}\r\x1c\r"

    with MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Keep,)}) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert sent(server.server_address[1]) == ""
        server.shutdown()
        thread.join()
    assert received == [MESSAGE.decode()]


@pytest.mark.parametrize("code", ["AE", "AR"])
def test_a_refusal_has_its_code(code: str) -> None:
    with receiver(lambda message: str(message.create_ack(code)).encode()) as port:
        assert sent(port) == f"hl7_{code.lower()}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f"MSH|^~\\&|\rMSA|AA|{ID}\r", ""),
        (f"MSH|^~\\&|\rMSA|CA|{ID}", ""),
        (f"MSH|^~\\&|\r\nMSA|AA|{ID}|ok\r\n", ""),
        (f"MSH#^~\\&#\rMSA#AA#{ID}\r", ""),  # the receiver chooses its separators
        (f"MSH|^~\\&|\rMSA|CE|{ID}\r", "hl7_ce"),
        (f"MSH|^~\\&|\rMSA|CR|{ID}\rERR|x\r", "hl7_cr"),
        ("MSH|^~\\&|\rMSA|AR\r", "hl7_ar"),  # it could not read the control id
        ("MSH|^~\\&|\rMSA|AA\r", "no_response"),
        ("MSH|^~\\&|\rMSA|AA|OTHER\r", "no_response"),
        ("MSH|^~\\&|\rMSA|AE|OTHER\r", "no_response"),
        (f"MSH|^~\\&|\rMSA|OK|{ID}\r", "no_response"),
        (f"MSA|AA|{ID}\r", "no_response"),
        ("MSH|^~\\&|\r", "no_response"),
        ("MSH", "no_response"),
        ("", "no_response"),
    ],
)
def test_the_acknowledgement_decides(answer: str, expected: str) -> None:
    assert failure(b"\x0b" + answer.encode() + b"\x1c\r", ID) == expected


def test_an_acknowledgement_without_a_frame_counts_for_nothing() -> None:
    assert failure(f"MSH|^~\\&|\rMSA|AA|{ID}\r".encode() + b"\x1c\r", ID) == "no_response"


@contextmanager
def peer(answer: bytes, wait: threading.Event | None = None) -> Iterator[int]:
    """A socket that reads once, answers with these bytes and closes; with `wait`, only then."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def converse() -> None:
            with server.accept()[0] as connection:
                connection.recv(2**16)
                with contextlib.suppress(ConnectionError):  # the client need not read all of a long answer
                    connection.sendall(answer)
                if wait is not None:
                    wait.wait(60)

        thread = threading.Thread(target=converse)
        thread.start()
        yield server.getsockname()[1]
        if wait is not None:
            wait.set()
        thread.join()


@pytest.mark.parametrize("answer", [b"", b"\x0bMSH|^~\\&|\r", b"\x15", b"x" * 2**18, b"HTTP/1.1 400\r\n\r\n"])
def test_a_broken_answer_is_no_response(answer: bytes) -> None:
    with peer(answer) as port:
        assert sent(port) == "no_response"


def test_silence_is_no_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp, "ANSWER_SECONDS", 0.2)
    with peer(b"\x0bMSH|", threading.Event()) as port:
        assert sent(port) == "no_response"


def test_a_receiver_that_is_down_is_unreachable() -> None:
    with refusing() as port:
        assert sent(port) == "unreachable"


def keys(pki: Pki, client: str) -> dict[str, Any]:
    return {key: value for key, value in pki.keys(client).items() if key != "name"}


def test_a_client_certificate_is_presented(pki: Pki) -> None:
    with receiver(tls=pki.server_context()) as port:
        assert sent(port, **keys(pki, "known")) == ""
        assert sent(port, **keys(pki, "known") | {"tls_ca": pki.other_ca.certificate}) == "tls_failed"


@pytest.mark.parametrize("client", ["unknown", "none"])
def test_a_refused_client_certificate_is_a_failure_of_tls(pki: Pki, client: str) -> None:
    """By a server of blocking sockets: those of asyncio close the connection without an alert."""
    with pki.server_context().wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as server:
        stopped = threading.Event()

        def refuse() -> None:
            while not stopped.is_set():
                with contextlib.suppress(OSError):
                    server.accept()[0].close()

        thread = threading.Thread(target=refuse)
        thread.start()
        port = server.getsockname()[1]
        code = sent(port, **keys(pki, client))
        stopped.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()

    assert code == "tls_failed"

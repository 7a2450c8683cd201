"""TLS with client certificates to Python's HTTP server and to DCMTK's storescp."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.destinations import Destination
from service.errors import ConfigurationError
from service.sending import dicom_web, store_scu
from service.sending.failure import SendingFailed
from service.sending.tls import context, is_tls_failure
from tests.factories import dicom_bytes, noise
from tests.ports import free_port, refusing
from tests.service.sending.certificates import Pki
from tests.service.stub import Stub, stub

DATA = dicom_bytes(noise())
CLIENTS = ["known", "unknown", "none"]


@pytest.fixture(scope="module")
def https(pki: Pki) -> Iterator[Stub]:
    """Python's own HTTP server, which requires a client certificate."""
    with stub() as server:
        server.socket = pki.server_context().wrap_socket(server.socket, server_side=True)
        yield server


def code(sending: Callable[[], object]) -> str:
    """Return the code of the failure, or an empty string."""
    try:
        sending()
    except SendingFailed as error:
        return error.code
    return ""


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("data", [b"short", DATA], ids=["short", "radiograph"])
def test_https_with_a_client_certificate(pki: Pki, https: Stub, client: str, data: bytes) -> None:
    before = len(https.received)
    destination = Destination(url=f"https://127.0.0.1:{https.server_port}", **pki.keys(client))

    assert code(lambda: asyncio.run(dicom_web.store(destination, data))) == ("" if client == "known" else "tls_failed")
    assert [data in body for _, body in https.received[before:]] == ([True] if client == "known" else [])


def test_a_connection_that_breaks_after_the_handshake_is_no_failure_of_tls(pki: Pki) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki.server.certificate, pki.server.key)
    with tls.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as server:

        def close() -> None:
            for _ in range(2):
                server.accept()[0].close()

        thread = threading.Thread(target=close)
        thread.start()
        destination = Destination(url=f"https://127.0.0.1:{server.getsockname()[1]}", **pki.keys("known"))
        assert code(lambda: asyncio.run(dicom_web.store(destination, DATA))) == "unreachable"
        thread.join()


@contextmanager
def storescp(pki: Pki, folder: Path) -> Iterator[int]:
    """DCMTK's receiver, which requires a client certificate: its port."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("no storescp (Debian: dcmtk)")
    port = free_port()
    tls = ["+tls", pki.server.key, pki.server.certificate, "+cf", pki.ca.certificate, "-rc"]
    process = subprocess.Popen([program, *tls, "-od", folder, str(port)], stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


def test_c_store_with_a_client_certificate(pki: Pki, tmp_path: Path) -> None:
    with storescp(pki, tmp_path) as port:
        codes = {
            client: code(
                lambda c=client: store_scu.store(Destination(host="127.0.0.1", port=port, **pki.keys(c)), DATA)
            )
            for client in CLIENTS
        }

    assert codes == {"known": "", "unknown": "tls_failed", "none": "tls_failed"}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("protocol", ["https", "dimse"])
def test_a_server_of_another_authority_or_without_tls_is_told_from_one_that_is_down(
    pki: Pki, https: Stub, protocol: str
) -> None:
    def attempt(port: int, ca: Path) -> str:
        if protocol == "https":
            destination = Destination(name="a", url=f"https://127.0.0.1:{port}", tls_ca=ca)
            return code(lambda: asyncio.run(dicom_web.store(destination, DATA)))
        destination = Destination(name="a", host="127.0.0.1", port=port, tls_ca=ca)
        return code(lambda: store_scu.store(destination, DATA))

    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            with plain.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert attempt(plain.getsockname()[1], pki.ca.certificate) == "tls_failed"
        thread.join()
    assert attempt(https.server_port, pki.other_ca.certificate) == "tls_failed"
    with refusing() as port:
        assert attempt(port, pki.ca.certificate) == "unreachable"


@pytest.mark.parametrize("key", ["tls_ca", "tls_certificate", "tls_key"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_cannot_be_used_is_a_configuration_error(
    pki: Pki, tmp_path: Path, key: str, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "file.pem").write_text(content)
    destination = Destination(url="https://a", **(pki.keys("known") | {key: tmp_path / "file.pem"}))

    with pytest.raises(ConfigurationError, match=r"destination archive: .* cannot be used for TLS"):
        context(destination)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(pki: Pki, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", pki.client.key, "-out", encrypted, "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)

    with pytest.raises(ConfigurationError):
        context(Destination(url="https://a", **(pki.keys("known") | {"tls_key": encrypted})))


def test_a_connection_that_ends_is_a_failure_of_tls_only_during_the_handshake() -> None:
    closed = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")

    assert is_tls_failure(closed, connecting=True)
    assert not is_tls_failure(closed, connecting=False)
    assert is_tls_failure(ssl.SSLError(1, "TLSV13_ALERT_CERTIFICATE_REQUIRED"), connecting=False)
    assert not is_tls_failure(ConnectionRefusedError(), connecting=True)

"""A notification is signed by the Standard Webhooks specification, and posted to one address alone."""

import asyncio
import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from service.destinations import Destination
from service.errors import ConfigurationError
from service.sending import webhook
from service.sending.failure import SendingFailed
from tests.ports import refusing
from tests.service.sending.receiver import SECRET, Receiver, receiver

BODY = '{"text":"Zoë"}'.encode()


@pytest.fixture
def pager() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return file


def post(url: str, secret_file: Path, id: str = "f00-0") -> None:
    destination = Destination(name="pager", protocol="webhook", url=url, secret_file=secret_file)
    asyncio.run(webhook.post(destination, id, BODY))


# The signature...


def test_the_signature_of_a_published_example() -> None:
    """The example of the specification's libraries: message, time, body, secret, signature."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = webhook.signature_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_library_of_the_specification_accepts_it_and_no_other_body_time_or_id() -> None:
    now = int(time.time())
    headers = webhook.signature_headers(base64.b64decode(SECRET[6:]), "f00-0", now, BODY)
    library = Webhook(SECRET)

    assert library.verify(BODY, headers) == {"text": "Zoë"}
    for wrong in ({"webhook-id": "f00-1"}, {"webhook-timestamp": str(now - 1)}):
        with pytest.raises(WebhookVerificationError):
            library.verify(BODY, headers | wrong)
    with pytest.raises(WebhookVerificationError):
        library.verify(BODY + b" ", headers)


# The request...


def test_the_receiver_finds_the_signature_good(pager: Receiver, secret_file: Path) -> None:
    post(pager.url, secret_file, "f00-7")

    assert pager.received == [("f00-7", {"text": "Zoë"})]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_status_of_success_is_a_receipt(pager: Receiver, secret_file: Path, status: int) -> None:
    pager.status = status

    post(pager.url, secret_file)

    assert len(pager.received) == 1


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 409, 410, 422, 429, 500, 502, 503])
def test_any_other_status_is_a_failure(pager: Receiver, secret_file: Path, status: int) -> None:
    pager.status = status

    with pytest.raises(SendingFailed) as caught:
        post(pager.url, secret_file)
    assert caught.value.code == f"http_{status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(pager: Receiver, secret_file: Path, status: int) -> None:
    with receiver() as elsewhere:
        pager.status, pager.headers = status, {"Location": elsewhere.url}
        with pytest.raises(SendingFailed, match=f"http_{status}"):
            post(pager.url, secret_file)

        assert elsewhere.received == []


def test_a_closed_connection_is_a_failure(pager: Receiver, secret_file: Path) -> None:
    pager.status = 0

    with pytest.raises(SendingFailed, match="unreachable"):
        post(pager.url, secret_file)


def test_an_unreachable_receiver_is_a_failure(secret_file: Path) -> None:
    with refusing() as port, pytest.raises(SendingFailed, match="unreachable"):
        post(f"http://127.0.0.1:{port}/hook/", secret_file)


@contextmanager
def raw(answer: bytes, again: bytes = b"") -> Iterator[str]:
    """Answer one request with bytes, then with others for ever, or nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(2**16)
                connection.sendall(answer)
                try:
                    while again:
                        connection.sendall(again)
                    connection.recv(1)
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(60)
        assert not thread.is_alive()


def test_the_body_of_an_answer_is_not_read(secret_file: Path) -> None:
    with raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 2**16 + b"\r\n") as url:
        post(url, secret_file)


@pytest.mark.parametrize("again", [b"", b"X-More: 1\r\n"])
def test_a_receiver_that_never_ends_its_answer_is_a_failure(
    secret_file: Path, monkeypatch: pytest.MonkeyPatch, again: bytes
) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    with raw(b"HTTP/1.1 200 OK\r\n", again) as url, pytest.raises(SendingFailed, match="unreachable"):
        post(url, secret_file)


def test_a_receiver_without_tls_behind_an_https_address_is_a_failure_of_tls(pager: Receiver, secret_file: Path) -> None:
    with pytest.raises(SendingFailed, match="tls_failed"):
        post(pager.url.replace("http:", "https:"), secret_file)


# The secret...


@pytest.mark.parametrize(
    "content",
    [
        *("", "whsec_", "A" * 32, "whsec_" + "A" * 28, "whsec_" + "A" * 88),  # 0, no prefix, 21, 66 bytes
        *("whsec_" + "!" * 32, "whsec_Ä" + "A" * 31, "whsk_" + "A" * 32),
    ],
)
def test_a_file_with_another_content_is_refused_without_naming_it(
    pager: Receiver, secret_file: Path, content: str
) -> None:
    secret_file.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"destination pager: .*secret") as caught:
        post(pager.url, secret_file)
    assert "A" * 20 not in str(caught.value)
    assert pager.received == []


def test_a_missing_file_is_refused(pager: Receiver, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        post(pager.url, tmp_path / "none")

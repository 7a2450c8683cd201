"""The server of the metrics: what it answers, and that no client can hold it or the service."""

import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from io import StringIO
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from service import exposition
from service.errors import ConfigurationError
from service.exposition import CONNECTIONS, exposed
from service.metrics_settings import Metrics

SETTINGS = Metrics(port=0)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no answer be cut off that a busy machine is slow to read; tests of the bound set it anew."""
    monkeypatch.setattr(exposition, "SECONDS", 60.0)


class Gauge(Collector):
    """One gauge that counts how often it was collected."""

    def __init__(self) -> None:
        self.collected = 0

    def collect(self) -> Iterable[GaugeMetricFamily]:
        self.collected += 1
        yield GaugeMetricFamily("triage_collected", "How often.", self.collected)


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


@pytest.fixture
def url(gauge: Gauge) -> Iterator[str]:
    with exposed([gauge], SETTINGS, 0) as url:
        yield url


def connect(url: str, receive_bytes: int | None = None) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.socket()
    connection.settimeout(60)
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect((parts.hostname, parts.port))
    return connection


def ends(connection: socket.socket) -> bool:
    """Wait until the server ends a connection, without an answer."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_the_answer_is_the_text_that_prometheus_reads(url: str) -> None:
    registry = CollectorRegistry()
    Counter("triage_things", "Things.", ("kind",), registry=registry).labels('a "b"\n').inc()
    with exposed([registry], SETTINGS, 0) as other:
        answer = httpx.get(other, timeout=60)

    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert samples["triage_things_total", 'a "b"\n'] == 1
    assert samples[("process_resident_memory_bytes",)] > 2**20
    assert not [name for name, *_ in samples if name.endswith("_created")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("GET", "/metrics?name[]=x", 200),
        ("HEAD", "/metrics", 200),
        ("POST", "/metrics", 405),
        ("TWEETY", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/v1/predictions", 404),
    ],
)
def test_there_is_one_resource_with_one_method(url: str, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, url.removesuffix("/metrics") + path, timeout=60)

    assert answer.status_code == status
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert bool(answer.content) is (method != "HEAD")
    assert (answer.headers.get("allow") == "GET, HEAD") is (status == 405)


@pytest.mark.parametrize("line", [b"", b"nonsense", b"GET /metrics", b"GET /metrics FTP/1.1", b"\x16\x03\x01\x02\x00"])
def test_what_is_no_request_is_400(url: str, line: bytes) -> None:
    with connect(url) as connection:
        connection.sendall(line + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9464", 200),
        ("127.0.0.1", 200),
        ("[::1]:9464", 200),
        ("tweety.example", 403),
        ("127.0.0.1.tweety.example:9464", 403),
        ("", 403),
    ],
)
def test_on_loopback_a_request_must_name_this_machine(url: str, host: str, status: int) -> None:
    assert httpx.get(url, headers={"Host": host}, timeout=60).status_code == status


def test_on_a_network_address_any_name_will_do() -> None:
    with exposed([], Metrics(host="0.0.0.0"), 0) as url:
        assert httpx.get(url, headers={"Host": "service:9464"}, timeout=60).status_code == 200


def test_they_are_collected_once_a_second_at_most(url: str, gauge: Gauge) -> None:
    start = time.monotonic()
    with httpx.Client(timeout=60) as client:
        for _ in range(100):
            assert client.get(url).status_code == 200

    assert gauge.collected <= time.monotonic() - start + 1


def test_more_silent_connections_than_it_holds_keep_nobody_out(url: str) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(url)) for _ in range(4 * CONNECTIONS)]
        for connection in silent:
            connection.sendall(b"GET /metrics HTTP/1.1\r\n")

        assert httpx.get(url, timeout=30).status_code == 200
        assert all(map(ends, silent[: -CONNECTIONS - 1]))


@pytest.mark.parametrize("head", [b"", b"GET /metrics HTTP/1.1\r\n"])
def test_a_request_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, url: str, head: bytes) -> None:
    monkeypatch.setattr(exposition, "SECONDS", 0.2)
    with connect(url) as connection:
        connection.sendall(head)
        assert ends(connection)


def test_a_trickle_is_ended_at_the_same_time(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(exposition, "SECONDS", 0.5)

    def trickle(connection: socket.socket) -> None:
        for _ in range(1000):
            connection.sendall(b"X")
            time.sleep(0.02)

    with connect(url) as connection, pytest.raises(ConnectionError):
        trickle(connection)


def test_a_head_without_end_is_not_kept(url: str) -> None:
    with connect(url) as connection:
        try:
            connection.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X-Y: z\r\n" * 10_000)
        except ConnectionError:
            return
        assert ends(connection)


def test_an_answer_that_nobody_reads_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    counter = Counter("triage_many", "Many.", ("number",), registry=registry)
    for number in range(20_000):
        counter.labels("x" * 300 + str(number))
    with exposed([registry], SETTINGS, 0) as url:
        whole = len(httpx.get(url, timeout=60).content)
        monkeypatch.setattr(exposition, "SECONDS", 0.5)
        with connect(url, receive_bytes=4096) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            received = len(connection.recv(1))
            monkeypatch.setattr(exposition, "SECONDS", 60.0)  # for the other connection
            time.sleep(0.5)
            httpx.get(f"{url}/none", timeout=60)  # by whose answer the end of the time has been noticed

            with suppress(ConnectionError):
                while part := connection.recv(2**16):
                    received += len(part)
    assert received < whole / 4


def test_a_collector_that_fails_is_500_and_its_text_is_not_told(log: StringIO) -> None:
    class Failing(Collector):
        def collect(self) -> Iterable[GaugeMetricFamily]:
            raise LookupError("Tweety^Kanarie")

    with exposed([Failing()], SETTINGS, 0) as url:
        answer = httpx.get(url, timeout=60)

    assert (answer.status_code, answer.text) == (500, "the log says why\n")
    assert json.loads(log.getvalue())["error"] == "LookupError"
    assert "Tweety" not in log.getvalue()


def test_a_port_in_use_is_one_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError) as caught,
        exposed([], SETTINGS, taken.getsockname()[1]),
    ):
        pass

    assert caught.value.message.endswith("for metrics (TRIAGE_METRICS__…): Address already in use")


def test_switched_off_they_have_no_port() -> None:
    with exposed([], Metrics(enabled=False, host="nowhere.invalid"), 0) as url:
        assert url == ""


def test_it_stops_with_a_client_that_waits() -> None:
    with exposed([], SETTINGS, 0) as url:
        connection = connect(url)
        httpx.get(url, timeout=60)
    with connection:
        assert ends(connection)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, timeout=60)

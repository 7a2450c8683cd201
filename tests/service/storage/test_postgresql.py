"""Connections over TCP to a server that may vanish without closing them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from sqlalchemy.engine import make_url

from service.storage.database import Database
from service.storage.postgresql import arguments
from tests.postgresql import PostgreSQL

pytestmark = pytest.mark.postgresql


@pytest.fixture
def over_tcp(postgresql: PostgreSQL) -> Iterator[str]:
    """Yield the URL of a database by TCP; the server itself listens on a Unix socket."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(f"{postgresql._folder}/.s.PGSQL.5432")
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=forward, args=ends, daemon=True).start()

    def forward(source: socket.socket, target: socket.socket) -> None:
        with source, target, suppress(OSError):
            while data := source.recv(2**16):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=accept, daemon=True).start()
    with closing(listener), postgresql.database() as url:
        changed = make_url(url).set(host="127.0.0.1", port=listener.getsockname()[1], query={})
        yield changed.render_as_string(hide_password=False)


def options(descriptor: int) -> dict[str, int]:
    """What the kernel does about a peer that is silent."""
    with closing(socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)) as copy:
        return {
            name: copy.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        }


def test_a_server_that_vanishes_is_noticed_within_half_a_minute(over_tcp: str) -> None:
    import psycopg

    database = Database(over_tcp)
    database.open()
    found = []
    for transaction in (database.read, database.write):
        with transaction() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            found.append(options(raw.pgconn.socket))
    listening = database.psycopg_arguments()
    assert listening is not None
    with psycopg.connect(**listening) as raw:
        found.append(options(raw.pgconn.socket))
    database.close()

    for each in found:
        assert 0 < each["TCP_USER_TIMEOUT"] <= 30_000
        assert each["TCP_KEEPIDLE"] + each["TCP_KEEPINTVL"] * each["TCP_KEEPCNT"] <= 30


def test_the_url_has_the_last_word(over_tcp: str) -> None:
    url = f"{over_tcp}?tcp_user_timeout=5000&keepalives_idle=7"
    assert not {"tcp_user_timeout", "keepalives_idle"} & arguments(make_url(url)).keys()
    database = Database(url)
    with database.read() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        found = options(raw.pgconn.socket)
    database.close()
    assert (found["TCP_USER_TIMEOUT"], found["TCP_KEEPIDLE"]) == (5000, 7)

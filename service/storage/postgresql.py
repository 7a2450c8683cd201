"""Connections to PostgreSQL."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

POOL = {"pool_size": 5, "max_overflow": 5}  # connections of a process that read, and as many that write
LOCK_SECONDS = 30.0  # as on SQLite
# The server ends a transaction whose client sends no statement for so long. The service never pauses for a second in
# one: a replica that does has hung, and others wait for its locks.
_IDLE_SECONDS = 60.0
# A server that has vanished, as after a failover or a power failure, closes no connection. By libpq's defaults whoever
# waits for it waits for a quarter of an hour or two hours: until TCP gives up what was sent, or a silent connection.
_VANISHED = {
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 20_000,  # milliseconds until what was sent is confirmed
    "keepalives_idle": 10,  # seconds of silence
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


def arguments(url: sa.URL) -> dict[str, Any]:
    """Return psycopg's arguments that notice a server that has vanished, unless the URL has its own."""
    return {name: value for name, value in _VANISHED.items() if name not in url.query}


def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Prepare a new connection: a replica that hangs in a transaction must not stop the others for good.

    Every statement is planned for its values. A plan for all values, as of prepared statements, would look for a rare
    name where a common one is found soon.
    """
    connection.prepare_threshold = None
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = {LOCK_SECONDS * 1000:.0f}")
    cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_SECONDS * 1000:.0f}")
    cursor.close()
    connection.commit()

"""Connections and transactions of SQLite."""

import sqlite3
import time

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_SECONDS = 30.0


def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Prepare a new connection: durable, with foreign keys, and a `lower` that knows all letters."""
    connection.isolation_level = None  # `begin` begins transactions, not the driver
    connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own lowers ASCII only
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
    cursor.execute("PRAGMA foreign_keys = ON")
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous = FULL")  # a commit waits for the disk, also in WAL
    cursor.close()


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


def _use_write_ahead_log(cursor: DBAPICursor) -> None:
    """Set the mode, which the file keeps; the busy timeout does not apply when processes create a file at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def begin(connection: sa.Connection, mode: str) -> None:
    """Begin a transaction: DEFERRED to read, IMMEDIATE to write."""
    connection.exec_driver_sql(f"BEGIN {mode}")

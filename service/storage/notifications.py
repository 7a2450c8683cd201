"""Notifications between replicas, on PostgreSQL: what one of them commits wakes the others at once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from service.storage.database import Database
from service.telemetry import describe, log

CHANGES, ORDERS = "triage_changes", "triage_orders"  # channels
PAUSE_SECONDS = 5.0  # between two attempts to connect
# A silent connection may be dead: after so long without a notification, a query shows whether the server answers.
CHECK_SECONDS = 30.0


def notify(connection: sa.Connection, channel: str) -> None:
    """Notify all replicas when the transaction is committed. On SQLite nothing listens."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_notify(channel, "")))


class Notifications:
    """One connection of this process, which listens. Whoever is woken also polls: a notification may be lost.

    It is lost while the connection is; and proxies that share connections between transactions (PgBouncer) carry none.

    Parameters
    ----------
    wake
        What to call in the event loop, by channel; also once the connection is there again.
    """

    def __init__(self, database: Database, wake: Mapping[str, Callable[[], None]]) -> None:
        self._database, self._wake = database, wake
        self._heard = True

    async def run(self) -> None:
        """Listen until cancelled, connecting again where the connection is lost; return at once on SQLite."""
        arguments = self._database.psycopg_arguments()
        while arguments is not None:
            try:
                await self._listen(arguments)
            except Exception as error:
                if self._heard:
                    log().warning("notifications are not heard until the database answers", **describe(error))
                self._heard = False
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self, arguments: dict[str, Any]) -> None:
        from psycopg import AsyncConnection  # an extra, which SQLite does not need

        async with await AsyncConnection.connect(**arguments, autocommit=True) as connection:
            for channel in self._wake:
                await connection.execute(f"LISTEN {channel}")
            self._heard = True
            for wake in self._wake.values():  # for what was committed before
                wake()
            while True:
                async for notification in connection.notifies(timeout=CHECK_SECONDS):
                    self._wake[notification.channel]()
                await connection.execute("SELECT 1")

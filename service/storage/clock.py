"""The clock that all replicas share: that of the database."""

from datetime import UTC, datetime

import sqlalchemy as sa


def now(connection: sa.Connection) -> datetime:
    """Return the time, aware: of the machine of PostgreSQL, or of this one, as it has the file of SQLite."""
    if connection.dialect.name != "postgresql":
        return datetime.now(UTC)
    time: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return time.astimezone(UTC)

"""Files without a record, which a crash leaves, and whose turn it is to look for them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import TypeVar

import sqlalchemy as sa

from service.storage import clock
from service.storage.database import Database
from service.storage.tables import STORE

_BATCH = 1000  # names for which the database is asked at once
_EARLY = timedelta(minutes=5)  # replicas ask every hour, by timers that differ

Item = TypeVar("Item")
Known = Callable[[Sequence[str]], Collection[str]]  # returns those of some names that have a record


def without_record(named: Iterable[tuple[str, Item]], known: Known) -> Iterator[Item]:
    """Return the items whose names have no record; few are in memory at once."""
    rest = iter(named)
    while batch := [*islice(rest, _BATCH)]:
        recorded = known([name for name, _ in batch])
        yield from (item for name, item in batch if name not in recorded)


@contextmanager
def turn(database: Database, every: timedelta) -> Iterator[bool]:
    """Yield whether this replica is to sweep now: whether no other has begun to for some time.

    A sweep that ends in an error does not count: any replica may try again.

    Raises
    ------
    Overloaded, StorageFull
        As `Database.write`.
    """
    with database.write() as connection:
        now = clock.now(connection)
        last = connection.execute(sa.select(STORE.c.swept).with_for_update()).scalar_one()
        # A time far in the future was written while the clock was wrong.
        due = last is None or abs(now - last) >= every - _EARLY
        if due:
            connection.execute(sa.update(STORE).values(swept=now))
    try:
        yield due
    except BaseException:
        if due:
            with database.write() as connection:
                connection.execute(sa.update(STORE).where(STORE.c.swept == now).values(swept=last))
        raise

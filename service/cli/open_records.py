"""The records of an installation, for commands that need no running service."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.settings import Settings
from service.storage.records import Records
from service.storage.url import database_url
from service.triage.site_rule import site_rule


@contextmanager
def open_records(settings: Settings) -> Iterator[Records]:
    """Open the database, and close it at the end.

    Raises
    ------
    ConfigurationError
        The database cannot be used.
    """
    records = Records(database_url(settings))
    records.open(site_rule(settings.triage.stat, settings.triage.high))
    try:
        yield records
    finally:
        records.close()

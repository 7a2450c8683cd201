"""The connection to SQLite or PostgreSQL: opening, migration, transactions and their errors."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import ConfigurationError, MalformedDicom, Overloaded, StorageFull
from service.storage import postgresql
from service.storage.migration import DEFAULT_RULE, migrate
from service.storage.same_file import SameFile
from service.storage.sqlite import BUSY_SECONDS, begin, prepare
from service.triage.rule import Rule

WAITING_WRITERS = 64  # transactions that write or wait to; more are refused, so that threads are left for readers
_UNWRITABLE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "53100", "25006")  # SQLSTATEs: full, a standby


class Database:
    """Transactions on one database. On SQLite, one transaction writes at a time; reading ones never wait.

    Parameters
    ----------
    url
        SQLAlchemy URL.

    Raises
    ------
    ConfigurationError
        The URL is invalid, its driver is not installed, or it names an SQLite database in memory.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = self._writing = _engine(url)
        except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigurationError(f"the database URL cannot be used: {_first_line(error)}") from None
        if self._sqlite:
            if self._engine.url.database in {None, "", ":memory:"}:
                raise ConfigurationError("the database URL names no file: records must survive a restart")
            # Writers wait for one connection, so that they take none from readers while the file is locked.
            self._writing = _engine(url, pool_size=1, max_overflow=0, pool_timeout=BUSY_SECONDS)
            for engine, mode in ((self._engine, "DEFERRED"), (self._writing, "IMMEDIATE")):
                sa.event.listen(engine, "connect", prepare)
                sa.event.listen(engine, "begin", partial(begin, mode=mode))
        elif self._engine.dialect.driver == "psycopg":
            # Writers have connections of their own here, too, for while they wait for a locked row.
            options = postgresql.POOL | {"connect_args": postgresql.arguments(self._engine.url)}
            self._engine, self._writing = (_engine(url, **options) for _ in range(2))
            for engine in (self._engine, self._writing):
                sa.event.listen(engine, "connect", postgresql.prepare)
        self._closed = 0  # how often
        for engine in {self._engine, self._writing}:
            sa.event.listen(engine, "connect", self._number)
            sa.event.listen(engine, "checkin", self._close_late)
        self._writers = BoundedSemaphore(WAITING_WRITERS)
        self._file: SameFile | None = None

    def open(self, rule: Rule = DEFAULT_RULE) -> None:
        """Connect, and migrate to the newest revision; several processes may do so at once.

        Parameters
        ----------
        rule
            The triage rule in force, by which revision 0009 computes the margins of older records.

        Raises
        ------
        ConfigurationError
            The folder is not writable, the database cannot be reached, or a newer version of the service has changed
            it so that this one does not work on it.
        """
        where = self._engine.url.render_as_string(hide_password=True)
        try:
            self._make_folder()
            with self._writing.begin() as connection:
                migrate(connection, rule)
            if (path := self._path()) is not None:
                self._file = SameFile(path, "the database file")
        except (OSError, exc.DBAPIError, CommandError) as error:
            self.close()
            reason = error.orig if isinstance(error, exc.DBAPIError) else error
            raise ConfigurationError(f"the database {where} cannot be used: {_first_line(reason)}") from None

    def check(self) -> str:
        """Check that the database server can be reached; an SQLite file is not opened, which would create it.

        Returns
        -------
        str
            URL without its password.

        Raises
        ------
        ConfigurationError
            The server cannot be reached.
        """
        where = self._engine.url.render_as_string(hide_password=True)
        try:
            if not self._sqlite:
                self._engine.connect().close()
        except exc.DBAPIError as error:
            raise ConfigurationError(f"the database {where} cannot be reached: {_first_line(error.orig)}") from None
        finally:
            self.close()
        return where

    def close(self) -> None:
        """Close all connections; one that a thread still uses, once the thread has done."""
        self._closed += 1
        self._engine.dispose()
        self._writing.dispose()

    def check_answers(self) -> None:
        """Check that the database can be read, and is the one that was opened.

        Raises
        ------
        Overloaded
            `storage_unavailable`: the file is gone; or the database does not answer.
        """
        self._check_file()
        with self.read() as connection:
            connection.execute(sa.select(sa.literal(1)))

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Run a read-only transaction.

        Raises
        ------
        Overloaded
            The database does not answer.
        """
        with _triage_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Run a transaction; it is on disk when the block is left.

        Raises
        ------
        StorageFull
            The database cannot be written.
        Overloaded
            The database does not answer, is locked for too long, or is not the one that was opened; or too many other
            transactions wait for it.
        sqlalchemy.exc.IntegrityError
            Another transaction has written the same key.
        """
        if not self._writers.acquire(blocking=False):
            raise Overloaded("too many writes wait for the database")
        try:
            self._check_file()
            with _triage_errors(), self._writing.begin() as connection:
                yield connection
            self._check_file()  # again: what is committed to a deleted file is lost
        finally:
            self._writers.release()

    def psycopg_arguments(self) -> dict[str, Any] | None:
        """Return the arguments for a connection of psycopg, or None where the driver is another."""
        if self._engine.dialect.driver != "psycopg":
            return None
        url = self._engine.url
        return postgresql.arguments(url) | dict(self._engine.dialect.create_connect_args(url)[1])

    def _number(self, _: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["closed"] = self._closed

    def _close_late(self, _: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        if entry.info.get("closed") != self._closed:
            entry.invalidate()

    @property
    def _sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _path(self) -> Path | None:
        """Return the path of an SQLite database that is named by one."""
        path = self._engine.url.database or ""
        return Path(path) if self._sqlite and not path.startswith("file:") else None

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    def _make_folder(self) -> None:
        if (path := self._path()) is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)  # SQLite gives the same mode to the files that it creates beside it


def _engine(url: str, **pool: Any) -> sa.Engine:
    return sa.create_engine(
        url,
        pool_pre_ping=True,
        hide_parameters=True,  # the text of an error may be logged, values may not
        json_serializer=partial(json.dumps, allow_nan=False),
        **pool,
    )


@contextmanager
def _triage_errors() -> Iterator[None]:
    """Translate errors of the driver to errors of the service."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError) as error:
        if _name(error.orig).startswith(_UNWRITABLE):
            raise StorageFull("the database cannot be written") from error
        raise Overloaded("the database does not answer") from error
    except exc.DataError as error:  # e.g. PostgreSQL takes no NUL
        raise MalformedDicom("the text of an attribute cannot be stored") from error
    except exc.TimeoutError as error:
        raise Overloaded("all database connections are in use") from error


def _name(error: BaseException | None) -> str:
    return str(getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or "")


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]

"""The connection to SQLite or PostgreSQL: how it is opened, brought up to date, and what its failures mean."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import ConfigurationError, MalformedDicom, Overloaded, StorageFull

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30.0
_MIGRATION_LOCK = 0x41474E4E  # any number, the same in every replica
_UNWRITABLE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "53100", "25006")  # the last two are SQLSTATEs


class Database:
    """Transactions on one database. SQLite's writers queue from their first statement; its readers never wait.

    Parameters
    ----------
    url
        SQLAlchemy's.

    Raises
    ------
    ConfigurationError
        The URL is not one, its driver is not installed, or it keeps nothing on disk.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sa.create_engine(
                url,
                pool_pre_ping=True,
                hide_parameters=True,  # an error's text may be logged, a UID may not
                json_serializer=partial(json.dumps, allow_nan=False),
            )
        except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigurationError(f"the database URL cannot be used: {_first_line(error)}") from None
        if self._sqlite:
            if self._engine.url.database in {None, "", ":memory:"}:
                raise ConfigurationError("the database URL names no file: records must survive a restart")
            sa.event.listen(self._engine, "connect", _prepare)
            sa.event.listen(self._engine, "begin", _begin)
        self._writing = self._engine.execution_options(sqlite_begin="IMMEDIATE")

    def open(self) -> None:
        """Connect, and migrate to the newest revision; of several processes that do so at once, one does the work.

        Raises
        ------
        ConfigurationError
            The folder is not writable, the database cannot be reached, or a newer version has written it.
        """
        where = self._engine.url.render_as_string(hide_password=True)
        try:
            self._make_folder()
            with self._writing.begin() as connection:
                self._migrate(connection)
        except (OSError, exc.DBAPIError, CommandError) as error:
            self.close()
            reason = error.orig if isinstance(error, exc.DBAPIError) else error
            raise ConfigurationError(f"the database {where} cannot be used: {_first_line(reason)}") from None

    def check(self) -> str:
        """Connect to a server and leave it as it is; a file is not opened, which would make it.

        Returns
        -------
        The URL without its password.

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
        """Give back all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that only reads.

        Raises
        ------
        Overloaded
            The database does not answer.
        """
        with _meaning(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction, on disk when the block is left.

        Raises
        ------
        StorageFull
            Nothing can be written.
        Overloaded
            The database does not answer, or is locked for too long.
        sqlalchemy.exc.IntegrityError
            Another writer was first.
        """
        with _meaning(), self._writing.begin() as connection:
            yield connection

    @property
    def _sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _make_folder(self) -> None:
        path = self._engine.url.database or ""
        if self._sqlite and not path.startswith("file:"):
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(path).touch(mode=0o600)  # as SQLite takes on for the files beside it

    def _migrate(self, connection: sa.Connection) -> None:
        if not self._sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        command.upgrade(migrations(connection), "head")


def migrations(connection: sa.Connection) -> Config:
    """Configure Alembic; `command.revision(migrations(connection), "what", autogenerate=True)` begins a revision."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself, `_begin` does
    connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows ASCII alone
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
    cursor.execute("PRAGMA foreign_keys = ON")
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous = FULL")  # a commit waits for the disk, also in WAL
    cursor.close()


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


def _use_write_ahead_log(cursor: DBAPICursor) -> None:
    """Persistent in the file. The busy timeout does not cover this where two processes make a database at once."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _begin(connection: sa.Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def _meaning() -> Iterator[None]:
    """Say what a driver's error means to a sender."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.OperationalError, exc.InterfaceError) as error:
        if _name(error.orig).startswith(_UNWRITABLE):
            raise StorageFull("the database cannot be written") from error
        raise Overloaded("the database does not answer") from error
    except exc.DataError as error:  # e.g. PostgreSQL takes no NUL
        raise MalformedDicom("an attribute's text cannot be stored") from error
    except exc.TimeoutError as error:
        raise Overloaded("all database connections are in use") from error


def _name(error: BaseException | None) -> str:
    return str(getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or "")


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]

"""The connection to SQLite or PostgreSQL: opening, migration, transactions and their errors."""

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
from service.triage.default_rule import HIGH, STAT
from service.triage.rule import Rule

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30.0
DEFAULT_RULE = Rule(STAT, HIGH)
_MIGRATION_LOCK = 0x41474E4E  # an arbitrary number, the same in every replica
_UNWRITABLE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "53100", "25006")  # the last two are SQLSTATEs


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
            self._engine = sa.create_engine(
                url,
                pool_pre_ping=True,
                hide_parameters=True,  # the text of an error may be logged, values may not
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

    def open(self, rule: Rule = DEFAULT_RULE) -> None:
        """Connect, and migrate to the newest revision; several processes may do so at once.

        Parameters
        ----------
        rule
            The triage rule in force, by which revision 0009 computes the margins of older records.

        Raises
        ------
        ConfigurationError
            The folder is not writable, the database cannot be reached, or a newer version of the service wrote it.
        """
        where = self._engine.url.render_as_string(hide_password=True)
        try:
            self._make_folder()
            with self._writing.begin() as connection:
                self._migrate(connection, rule)
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
        """Close all connections."""
        self._engine.dispose()

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
            The database does not answer, or is locked for too long.
        sqlalchemy.exc.IntegrityError
            Another transaction has written the same key.
        """
        with _triage_errors(), self._writing.begin() as connection:
            yield connection

    @property
    def _sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _make_folder(self) -> None:
        path = self._engine.url.database or ""
        if self._sqlite and not path.startswith("file:"):
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(path).touch(mode=0o600)  # SQLite gives the same mode to the files that it creates beside it

    def _migrate(self, connection: sa.Connection, rule: Rule) -> None:
        if not self._sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        command.upgrade(migrations(connection, rule), "head")


def migrations(connection: sa.Connection, rule: Rule = DEFAULT_RULE) -> Config:
    """Configure Alembic; `command.revision(migrations(connection), "title", autogenerate=True)` creates a revision."""
    config = Config(attributes={"connection": connection, "rule": rule.labels})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # `_begin` begins transactions, not the driver
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


def _begin(connection: sa.Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def _triage_errors() -> Iterator[None]:
    """Translate errors of the driver to errors of the service."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.OperationalError, exc.InterfaceError) as error:
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

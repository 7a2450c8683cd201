"""A PostgreSQL server for tests (Debian: postgresql), and a fresh database for each of them."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg.errors import ObjectInUse

from service.storage.database import Database

_MIGRATED = "migrated"
# Nothing of a test must survive a power failure; but what was committed survives `stop`.
_QUICK = ("fsync=off", "full_page_writes=off", "max_connections=300")


class PostgreSQL:
    """A server on a Unix socket in a folder of its own; it can be stopped and started again.

    PostgreSQL refuses to run as root; there, it runs as the user that Debian's package made.
    """

    def __init__(self, programs: Path, folder: Path, options: tuple[str, ...]) -> None:
        self._programs, self._folder, self._options = programs, folder, (*_QUICK, *options)
        self._numbers = count()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        initdb = [programs / "initdb", "-D", folder / "data", "--auth=trust", "--username=triage", "--no-sync"]
        initdb += ["--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **self._as)
        self.start()
        with self.administrator() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {_MIGRATED}")
        database = Database(self.url(_MIGRATED))
        database.open()
        database.close()

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://triage@/{name}?host={self._folder}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = [part for option in self._options for part in ("-c", option)]
        command = [self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder, "-h", "", *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as)
        deadline = time.monotonic() + 60
        while subprocess.run([self._programs / "pg_isready", "-q", "-h", self._folder], check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text()[-4000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and every connection at once, as a crash does."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    @contextmanager
    def administrator(self) -> Iterator[sa.Connection]:
        """Yield a connection to no database of a test, without a transaction."""
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection

    @contextmanager
    def database(self, template: str = _MIGRATED) -> Iterator[str]:
        """Yield the URL of a new database, which is dropped at the end; `template1` is an empty one."""
        name = f"test_{next(self._numbers)}"
        self._once_nobody_uses_it(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self._once_nobody_uses_it(f"DROP DATABASE {name} WITH (FORCE)")

    def _once_nobody_uses_it(self, statement: str) -> None:
        """Run a statement for which PostgreSQL waits only 5 s until the processes of ended connections have gone."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.administrator() as connection:
                    connection.exec_driver_sql(statement)
            except sa.exc.OperationalError as error:
                if not isinstance(error.orig, ObjectInUse) or time.monotonic() > deadline:
                    raise
            else:
                return


@contextmanager
def running(*options: str) -> Iterator[PostgreSQL]:
    """Run a server with settings (`name=value`) in a temporary folder; a socket must have a short path."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not programs:
        pytest.skip("PostgreSQL is not installed; install Debian's package postgresql")
    folder = Path(tempfile.mkdtemp(prefix="triage-postgresql-"))
    server = None
    try:
        server = PostgreSQL(programs[-1], folder, options)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)

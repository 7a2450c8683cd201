"""Migration of the schema, while replicas of the version before may work on it."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from service.storage.tables import COMPATIBILITY
from service.telemetry import log
from service.triage.default_rule import HIGH, STAT
from service.triage.rule import Rule

MIGRATIONS = Path(__file__).parent / "migrations"
DEFAULT_RULE = Rule(STAT, HIGH)
_LOCK = 0x41474E4E  # an arbitrary number, the same in every replica


def migrate(connection: sa.Connection, rule: Rule) -> None:
    """Migrate to the newest revision; several processes may do so at once.

    A schema that a newer version has migrated stays as it is, if that version says that this one works on it.

    Parameters
    ----------
    connection
        A transaction that writes.

    Raises
    ------
    CommandError
        This version does not work on the schema.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # another replica may migrate for long
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = migrations(connection, rule)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None or revision in known:
        command.upgrade(config, "head")
        return
    if _oldest(connection) not in known:
        raise CommandError(f"a newer version of the service wrote it (revision {revision}), and needs that version")
    log().warning("a newer version has migrated the database; this one works on it", revision=revision)


def migrations(connection: sa.Connection, rule: Rule = DEFAULT_RULE) -> Config:
    """Configure Alembic; `command.revision(migrations(connection), "title", autogenerate=True)` creates a revision."""
    config = Config(attributes={"connection": connection, "rule": rule.labels})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def _oldest(connection: sa.Connection) -> str | None:
    """Return the oldest revision whose version of the service works on the schema; None where nothing says so."""
    if not sa.inspect(connection).has_table(COMPATIBILITY.name):
        return None
    return connection.scalar(sa.select(COMPATIBILITY.c.oldest))

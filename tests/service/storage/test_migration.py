"""Two versions side by side: what a revision may change, and which versions start on whose schema (docs/upgrade.md)."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from service.errors import ConfigurationError
from service.storage.database import Database
from service.storage.migration import MIGRATIONS, migrations
from service.storage.records import Records
from service.storage.tables import METADATA
from tests.service.storage.conftest import Make, on_postgresql

# Before this one, all replicas were stopped for a new version.
FIRST = "0013"
# What a revision removes although the oldest version that works on it has it: that version no longer uses it.
UNUSED: dict[tuple[str, str], str] = {}

REVISIONS = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
LATER = [revision for revision in REVISIONS if revision >= FIRST]
# SQLAlchemy reads no such index from SQLite; an index takes nothing from a reader or a writer unless it is unique
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    opened.open()
    yield opened
    opened.close()


def go_to(database: Database, revision: str) -> None:
    with database.write() as connection:
        command.upgrade(migrations(connection), "head")
        command.downgrade(migrations(connection), revision)


def oldest(database: Database) -> str:
    with database.read() as connection:
        return str(connection.scalar(sa.text("SELECT oldest FROM compatibility")))


class TestRule:
    """Expand first, contract a release later."""

    @pytest.mark.parametrize("revision", LATER)
    def test_a_revision_takes_nothing_from_the_oldest_version_that_works_on_it(
        self, database: Database, revision: str
    ) -> None:
        go_to(database, revision)
        new, earlier = schema(database), oldest(database)
        assert earlier in REVISIONS[: REVISIONS.index(revision)]
        go_to(database, earlier)

        missing = [change for change in narrowings(schema(database), new) if (revision, change) not in UNUSED]
        assert missing == []

    @pytest.mark.parametrize("everything", [True, False])
    def test_the_rows_of_the_oldest_version_fit_the_newest_schema(self, database: Database, everything: bool) -> None:
        earlier, tables = oldest(database), sa.MetaData()
        go_to(database, earlier)
        with database.read() as connection:
            tables.reflect(connection)
        go_to(database, REVISIONS[-1])

        own = [table for table in tables.sorted_tables if table.name != "alembic_version"]
        with database.write() as connection:
            connection.execute(sa.text("DELETE FROM clock"))
            for table in own:
                connection.execute(sa.insert(table).values(row(table, everything)))
            for table in own:
                assert len(connection.execute(sa.select(table)).all()) == 1, table.name


@on_postgresql
def test_indices_can_be_built_before_the_migration_by_the_commands_of_the_documentation(
    database: Database, url: str, root: Path
) -> None:
    go_to(database, "0012")
    text = (root / "docs" / "upgrade.md").read_text()
    commands = re.findall(r"^ +(CREATE INDEX CONCURRENTLY .*;)$", text, re.MULTILINE)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in commands:
            connection.exec_driver_sql(statement)
        before = connection.exec_driver_sql(_INDICES).all()
    with database.write() as connection:
        command.upgrade(migrations(connection), "head")
    with database.read() as connection:
        after = connection.exec_driver_sql(_INDICES).all()
        context = MigrationContext.configure(connection)
        assert not [each for each in compare_metadata(context, METADATA) if "index" in str(each[0])]

    assert len(commands) == 10
    assert set(after) <= set(before)  # none was built anew


_INDICES = """
SELECT indexrelid, indisvalid FROM pg_index WHERE indrelid IN ('instances'::regclass, 'worklist'::regclass)
"""


class TestNarrowings:
    """The comparison itself, with a table of one column."""

    BEFORE = (sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))

    @pytest.mark.parametrize(
        ("columns", "change"),
        [
            ([sa.Column("id", sa.Integer, primary_key=True)], "thing.name"),
            ([sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Integer)], "thing.name: type"),
            ([*BEFORE[:1], sa.Column("name", sa.Text, nullable=False)], "thing.name: not null"),
            ([*BEFORE, sa.Column("more", sa.Text, nullable=False)], "thing.more: no default"),
            ([sa.Column("id", sa.Integer), sa.Column("name", sa.Text, primary_key=True)], "thing: key"),
            ([*BEFORE, sa.UniqueConstraint("name", name="uq")], "thing: unique name"),
            ([*BEFORE, sa.Index("ix", "name", unique=True)], "thing: unique name"),
            ([*BEFORE, sa.CheckConstraint("id > 0", name="ck")], "thing: check ck"),
            ([*BEFORE, sa.ForeignKeyConstraint(["name"], ["thing.name"], name="fk")], "thing: foreign key name"),
        ],
    )
    def test_what_an_older_version_could_stumble_over_is_found(self, columns: list[Any], change: str) -> None:
        assert change in narrowings(made(*self.BEFORE), made(*columns))

    def test_a_table_that_is_gone_is_found(self) -> None:
        assert narrowings(made(*self.BEFORE), {}) == ["thing"]

    def test_what_only_adds_is_none(self) -> None:
        after = made(
            *self.BEFORE,
            sa.Column("nullable", sa.Text),
            sa.Column("filled", sa.Text, nullable=False, server_default=sa.text("''")),
            sa.Index("ix", "name"),
        )
        other = {"other": after["thing"]}

        assert narrowings(made(*self.BEFORE), after | other) == []


class TestStart:
    def test_a_running_replica_works_on_while_a_newer_version_migrates(self, records: Records, make: Make) -> None:
        before = records.save(make())
        migrate_further(records.database, REVISIONS[-1])

        records.save(make(sop_instance_uid="1.2"))
        records.delete(before.id)
        assert len(records.list(10)[0]) == 1

    def test_an_older_version_starts_where_the_newer_one_says_so(
        self, url: str, records: Records, make: Make, log: StringIO
    ) -> None:
        """As after a rolling update that is taken back."""
        migrate_further(records.database, REVISIONS[-1])

        again = Records(url)
        again.open()
        again.save(make())
        with again.database.read() as connection:
            assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"
        again.close()
        assert "a newer version has migrated the database" in log.getvalue()

    @pytest.mark.parametrize("statement", ["UPDATE compatibility SET oldest = '9998'", "DROP TABLE compatibility"])
    def test_it_refuses_where_the_newer_one_does_not(self, url: str, records: Records, statement: str) -> None:
        migrate_further(records.database, REVISIONS[-1])
        with records.database.write() as connection:
            connection.exec_driver_sql(statement)
        records.close()

        with pytest.raises(ConfigurationError, match="9999") as caught:
            Records(url).open()
        assert "\n" not in caught.value.message


def migrate_further(database: Database, oldest: str) -> None:
    """Do what a newer version's migration may do."""
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE instances ADD COLUMN later TEXT NOT NULL DEFAULT ''")
        connection.exec_driver_sql("ALTER TABLE predictions ADD COLUMN later TEXT")
        connection.exec_driver_sql("CREATE TABLE later (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql(f"UPDATE compatibility SET oldest = '{oldest}'")


def schema(database: Database) -> dict[str, dict[str, Any]]:
    with database.read() as connection:
        return described(connection)


def made(*columns: Any) -> dict[str, dict[str, Any]]:
    """Return the schema of a database with one table."""
    engine, tables = sa.create_engine("sqlite://"), sa.MetaData()
    sa.Table("thing", tables, *(each._copy() if isinstance(each, sa.Column) else each for each in columns))
    with engine.begin() as connection:
        tables.create_all(connection)
        result = described(connection)
    engine.dispose()
    return result


def described(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """Describe each table: its columns, its key, and what its rows must fulfil."""
    inspector = sa.inspect(connection)
    tables = {}
    for name in inspector.get_table_names():
        unique = [each["column_names"] for each in inspector.get_unique_constraints(name)]
        unique += [each["column_names"] for each in inspector.get_indexes(name) if each["unique"]]
        rules = {f"unique {', '.join(map(str, columns))}" for columns in unique}
        rules |= {f"check {each['name']}" for each in inspector.get_check_constraints(name)}
        rules |= {f"foreign key {', '.join(each['constrained_columns'])}" for each in inspector.get_foreign_keys(name)}
        tables[name] = {
            "columns": {column["name"]: column for column in inspector.get_columns(name)},
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "rules": rules,
        }
    return tables


def narrowings(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Name what a reader or writer of one schema could stumble over in another."""
    changes = [name for name in before if name not in after]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        changes += [f"{name}: {rule}" for rule in sorted(new["rules"] - old["rules"])]
        changes += [f"{name}: key"] if old["key"] != new["key"] else []
        for column in old["columns"].keys() | new["columns"].keys():
            changes += [f"{name}.{column}{change}" for change in _narrowing(old, new, column)]
    return sorted(changes)


def _narrowing(old: dict[str, Any], new: dict[str, Any], column: str) -> Iterator[str]:
    was, is_now = old["columns"].get(column), new["columns"].get(column)
    if is_now is None:
        yield ""
    elif was is None:
        if not is_now["nullable"] and is_now["default"] is None:
            yield ": no default"
    else:
        if str(was["type"]) != str(is_now["type"]):
            yield ": type"
        if was["nullable"] and not is_now["nullable"]:
            yield ": not null"
        if was["default"] is not None and is_now["default"] is None and not is_now["nullable"]:
            yield ": default"


def row(table: sa.Table, everything: bool) -> dict[str, Any]:
    """Return a row with all columns that the table has or with those that it needs, referring to rows like it."""
    values: dict[type, Any] = {str: "x", int: 1, bool: True, float: 0.5, bytes: b"", object: {}}  # object: JSON
    values[datetime] = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        column.name: values[column.type.python_type]
        for column in table.columns
        if everything or (not column.nullable and column.server_default is None)
    }

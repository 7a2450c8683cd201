import json
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import log
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from service.errors import ConfigurationError, Overloaded, StorageFull
from service.storage import database as database_module
from service.storage import postgresql as module
from service.storage import sqlite
from service.storage.database import WAITING_WRITERS, Database
from service.storage.migration import migrations
from service.storage.record import Record
from service.storage.records import Records
from service.storage.tables import CLOCK, METADATA
from service.triage.rule import Rule
from tests.postgresql import PostgreSQL
from tests.service.records import finding
from tests.service.storage.conftest import Make, on_postgresql, on_sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triage.sqlite"


def one_line(error: ConfigurationError) -> bool:
    return "\n" not in error.message and error.message != ""


class TestOpen:
    @pytest.mark.filterwarnings("ignore:.*expression-based index")  # SQLAlchemy reads none from SQLite
    def test_the_migrations_create_the_schema_of_the_tables(self, url: str) -> None:
        database = Database(url)
        database.open()
        with database.read() as connection:
            options = {"compare_type": True, "compare_server_default": _defaults, "render_as_batch": True}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, METADATA) == []
            tables = {"instances", "predictions", "keys", "worklist", "changes", "clock", "outbox"}
            tables |= {"measurements", "opinions", "refusals", "compatibility", "store"}
            assert tables | {"alembic_version"} == set(sa.inspect(connection).get_table_names())
        database.close()

    def test_all_migrations_can_be_undone(self, url: str) -> None:
        database = Database(url)
        database.open()
        with database.write() as connection:
            command.downgrade(migrations(connection), "base")
            assert sa.inspect(connection).get_table_names() == ["alembic_version"]
        database.close()

    @pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
    def test_predictions_survive_the_migration(self, url: str, revision: str) -> None:
        """SQLite deletes them if a migration replaces the table of instances."""
        database = Database(url)
        database.open()
        with database.write() as connection:
            command.downgrade(migrations(connection), revision)
            connection.exec_driver_sql(
                "INSERT INTO instances (id, study_instance_uid, series_instance_uid, sop_instance_uid, "
                "accession_number, display_sha256, instance_file, instance_bytes, received) "
                "VALUES (1, '1', '1', '1', '', 'd', 'f.dcm', 1, '2026-01-01 00:00:00.000000')"
            )
            connection.exec_driver_sql(
                "INSERT INTO predictions (id, instance_id, artefact_sha256, created, priority, body, map_height, "
                "map_width, heat_map, class_maps) "
                "VALUES ('p', 1, 'a', '2026-01-01 00:00:00.000000', 'HIGH', '{}', 0, 0, '', '')"
            )
        with database.write() as connection:
            command.upgrade(migrations(connection), "head")
            assert connection.exec_driver_sql("SELECT id, instance_id FROM predictions").all() == [("p", 1)]
            command.downgrade(migrations(connection), revision)
            assert connection.exec_driver_sql("SELECT id, instance_id FROM predictions").all() == [("p", 1)]
        database.close()

    def test_margins_are_computed_again_over_the_findings_of_the_rule(self, url: str) -> None:
        database = Database(url)
        database.open()
        with database.write() as connection:
            command.downgrade(migrations(connection), "0008")
            _insert_older(connection)

        with database.write() as connection:
            command.upgrade(migrations(connection, Rule(("Pneumothorax",), ("Mass",))), "head")
            upgraded = _margins(connection)
            command.downgrade(migrations(connection), "0008")
            downgraded = _margins(connection)
        database.close()

        assert upgraded == {
            "high": pytest.approx(log(4)),  # Mass: logit .8 - logit .5; not Cardiomegaly, outside the rule
            "other rule": pytest.approx(log(9)),  # Effusion, which the rule of the time named
            "routine": pytest.approx(log(1 / 4)),
            "nothing": None,
        }
        assert downgraded == {
            "high": pytest.approx(log(9)),
            "other rule": pytest.approx(log(9)),
            "routine": pytest.approx(log(9)),
            "nothing": None,
        }

    def test_opening_twice_is_no_error(self, url: str) -> None:
        for _ in range(2):
            database = Database(url)
            database.open()
            database.close()

    @pytest.mark.postgresql
    def test_replicas_that_start_at_once_migrate_one_after_another(self, postgresql: PostgreSQL) -> None:
        with postgresql.database("template1") as url:
            databases = [Database(url) for _ in range(4)]
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(Database.open, databases))
            with databases[0].read() as connection:
                assert connection.scalar(sa.text("SELECT count(*) FROM clock")) == 1
            for database in databases:
                database.close()

    def test_sqlite_is_durable_and_checks_foreign_keys(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}")
        database.open()
        with database.read() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
        database.close()

    @on_postgresql
    def test_a_server_ends_what_hangs_and_plans_each_query_for_its_values(self, records: Records) -> None:
        expected = {"lock_timeout": "30s", "idle_in_transaction_session_timeout": "1min"}
        for _ in range(12):
            records.list(1)
        with records.database.read() as connection:
            assert {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in expected} == expected
            assert connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar() == 0

    def test_the_folder_may_have_special_characters(self, tmp_path: Path, make: Make) -> None:
        records = Records(f"sqlite:///{tmp_path / '100% größe' / 'x.sqlite'}")
        records.open()
        records.save(make())
        records.close()

    @pytest.mark.parametrize(
        "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "nosuch://x/y", "mysql+pymysql://x/y"]
    )
    def test_an_unusable_url_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Database(url)
        assert one_line(caught.value)

    def test_checking_a_file_does_not_create_it(self, path: Path) -> None:
        assert Database(f"sqlite:///{path}").check() == f"sqlite:///{path}"
        assert not path.exists()

    def test_a_server_is_checked_by_connecting(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Database, "_sqlite", False)
        Database(f"sqlite:///{path}").check()
        with pytest.raises(ConfigurationError) as caught:
            Database(f"sqlite:///{path.parent / 'none' / 'x'}").check()
        assert one_line(caught.value)

    def test_a_folder_that_cannot_be_created_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(ConfigurationError) as caught:
            Database(f"sqlite:///{tmp_path / 'file' / 'triage.sqlite'}").open()
        assert one_line(caught.value)

    def test_a_path_that_is_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Database(f"sqlite:///{tmp_path}").open()
        assert one_line(caught.value)

    def test_a_folder_that_is_not_writable_is_refused(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Database("sqlite:////proc/triage.sqlite").open()  # root cannot write there either
        assert one_line(caught.value)

    def test_a_file_that_is_not_a_database_is_refused(self, path: Path) -> None:
        path.write_bytes(b"not a database, but long enough to be looked at" * 100)
        with pytest.raises(ConfigurationError) as caught:
            Database(f"sqlite:///{path}").open()
        assert one_line(caught.value)


def _defaults(*arguments: object) -> bool | None:
    """Leave the default of a JSON column aside, as PostgreSQL compares no JSON; None: compare."""
    column = arguments[2]
    return False if isinstance(column, sa.Column) and isinstance(column.type, sa.JSON) else None


def _insert_older(connection: sa.Connection) -> None:
    """Insert records as revision 0008 stored them: label to probability, with thresholds of .5, and the reason."""
    predictions: dict[str, tuple[dict[str, float], list[str]]] = {
        "high": ({"Cardiomegaly": 0.9, "Mass": 0.8, "Pneumothorax": 0.1}, ["Mass"]),
        "other rule": ({"Effusion": 0.9, "Mass": 0.2}, ["Effusion"]),
        "routine": ({"Cardiomegaly": 0.9, "Mass": 0.2}, []),
        "nothing": ({}, []),
    }
    connection.exec_driver_sql(
        "INSERT INTO instances (id, study_instance_uid, series_instance_uid, sop_instance_uid, accession_number, "
        "display_sha256, instance_file, instance_bytes, received) "
        "VALUES (1, '1', '1', '1', '', 'd', 'f.dcm', 1, '2026-01-01 00:00:00.000000')"
    )
    for number, (id, (probabilities, reason)) in enumerate(predictions.items()):
        findings: list[dict[str, object]] = [
            {"label": label, "probability": value, "threshold": 0.5} for label, value in probabilities.items()
        ]
        findings.append({"label": "Pneumonia", "probability": 1.0, "threshold": None})
        body = json.dumps({"findings": findings, "reason": reason})
        connection.execute(
            sa.text(
                "INSERT INTO predictions (id, instance_id, artefact_sha256, created, priority, margin, body, "
                "map_height, map_width, heat_map, class_maps) "
                "VALUES (:id, 1, :artefact, '2026-01-01 00:00:00.000000', 'HIGH', 7, :body, 0, 0, '', '')"
            ),
            {"id": id, "artefact": str(number), "body": body},
        )
        connection.execute(
            sa.text(
                "INSERT INTO worklist (prediction_id, instance_id, newest, unread, rank, urgency, created, positive, "
                "searched) VALUES (:id, 1, true, true, 1, -7, '2026-01-01 00:00:00.000000', '', '')"
            ),
            {"id": id},
        )


def _margins(connection: sa.Connection) -> dict[str, float | None]:
    """Margin of each record; the worklist's key must be the same number."""
    rows = connection.exec_driver_sql(
        "SELECT id, margin, urgency FROM predictions JOIN worklist ON prediction_id = id"
    ).all()
    assert all(row.urgency == (1e300 if row.margin is None else -row.margin) for row in rows)
    return {row.id: row.margin for row in rows}


class TestClose:
    def test_a_connection_in_use_is_closed_once_it_is_returned(self, url: str) -> None:
        """As that of a request whose client has gone: its thread goes on while the service stops."""
        database = Database(url)
        database.open()
        for transaction in (database.read, database.write):
            with transaction() as connection:
                raw: Any = connection.connection.driver_connection
                database.close()
                assert connection.scalar(sa.select(sa.literal(1))) == 1
            with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
                raw.execute("SELECT 1")

    def test_it_can_be_used_again(self, url: str) -> None:
        database = Database(url)
        for _ in range(2):
            database.open()
            with database.read() as connection:
                raw: Any = connection.connection.driver_connection
            with database.read() as connection:
                assert connection.connection.driver_connection is raw, "connections are kept"
            database.close()


class TestFailures:
    @on_sqlite
    def test_a_full_disk_raises_storage_full(self, records: Records, make: Make) -> None:
        with records.database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 20")
        new = [make(sop_instance_uid=f"1.{number}") for number in range(100)]
        with pytest.raises(StorageFull):
            list(map(records.save, new))
        saved = records.list(1000)[0]
        assert all(records.get(entry.id).class_maps.shape == (14, 7, 5) for entry in saved)

    @on_postgresql
    def test_a_standby_or_read_only_database_raises_storage_full(
        self, records: Records, make: Make, url: str, postgresql: PostgreSQL
    ) -> None:
        """As after a failover, or where the server's disk is nearly full and its operator has stopped writes."""
        name = sa.make_url(url).database
        with postgresql.administrator() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        records.close()

        with pytest.raises(StorageFull):
            records.save(make())
        assert records.list(1) == ((), None)

    @on_postgresql
    def test_a_row_locked_for_too_long_raises_overloaded(
        self, url: str, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A replica that hangs in a transaction does not stop the others for good."""
        monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
        records, hanging = Records(url), Database(url)
        records.open()
        with hanging.write() as connection:
            connection.execute(sa.update(CLOCK).values(tick=CLOCK.c.tick))
            saving = threading.Thread(target=_overloaded, args=(records, make()))
            saving.start()
            saving.join(20)
            assert not saving.is_alive()
            assert records.list(1) == ((), None)
        records.save(make())
        records.close()
        hanging.close()

    @on_postgresql
    def test_reads_go_on_while_writers_wait_for_a_locked_row(self, records: Records, make: Make, url: str) -> None:
        hanging, writers = Database(url), 30
        with ThreadPoolExecutor(writers + 1) as pool:
            with hanging.write() as connection:
                connection.execute(sa.update(CLOCK).values(tick=CLOCK.c.tick))
                saved = [pool.submit(records.save, make(sop_instance_uid=f"1.{n}")) for n in range(writers)]
                time.sleep(0.5)  # all connections that there are for writers wait
                assert pool.submit(records.list, 1).result(60) == ((), None)
                assert not any(each.done() for each in saved)

            assert len({each.result(60).id for each in saved}) == writers
        hanging.close()

    @on_postgresql
    def test_records_are_saved_again_after_a_restart_of_the_server(
        self, records: Records, make: Make, postgresql: PostgreSQL
    ) -> None:
        saved = records.save(make())
        postgresql.stop()
        try:
            with pytest.raises(Overloaded):
                records.save(make(sop_instance_uid="1.2"))
            with pytest.raises(Overloaded):
                records.list(1)
        finally:
            postgresql.start()

        records.save(make(sop_instance_uid="1.2"))
        assert records.get(saved.id).id == saved.id

    @pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyDate"])
    def test_a_value_that_no_index_could_hold_is_stored(self, records: Records, make: Make, keyword: str) -> None:
        """PostgreSQL's trees take 2,704 bytes; `attributes` takes 1,024 characters of 3, which do not compress."""
        characters = random.Random(0)
        value = "".join(chr(characters.randrange(0x4E00, 0x9FA5)) for _ in range(1024))

        saved = records.save(make(attributes={keyword: value}, accession_number=value))

        assert records.get(saved.id).attributes == {keyword: value}

    def test_a_database_locked_for_too_long_raises_overloaded(
        self, path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
        records = Records(f"sqlite:///{path}")
        records.open()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Overloaded):
            records.save(make())
        assert records.list(1) == ((), None), "readers do not wait for a writer"
        holder.execute("ROLLBACK")
        holder.close()
        records.save(make())
        records.close()

    def test_reads_go_on_while_writers_wait_for_a_locked_file(
        self, path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for each in (database_module, sqlite):  # the last of many writers may wait long for a slow disk
            monkeypatch.setattr(each, "BUSY_SECONDS", 300.0)
        records = Records(f"sqlite:///{path}")
        records.open()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(WAITING_WRITERS) as pool:
            new = [make(sop_instance_uid=f"1.{number}") for number in range(WAITING_WRITERS)]
            saved = [pool.submit(records.save, each) for each in new]
            while records.database._writers._value:  # until all writers wait; to take a place would refuse one
                time.sleep(0.01)

            assert records.list(1) == ((), None)
            with pytest.raises(Overloaded, match="too many writes"):
                records.save(make(sop_instance_uid="1.999"))
            assert not any(each.done() for each in saved)

            holder.execute("ROLLBACK")
            assert len({each.result(300).id for each in saved}) == WAITING_WRITERS
        holder.close()
        records.close()

    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_file_that_is_deleted_while_it_is_open_is_noticed(self, path: Path, make: Make, replaced: bool) -> None:
        records = Records(f"sqlite:///{path}")
        records.open()
        records.save(make())
        kept = path.rename(path.with_name("kept"))
        if replaced:
            path.write_bytes(kept.read_bytes())

        with pytest.raises(Overloaded) as caught:
            records.save(make(sop_instance_uid="1.2"))
        assert caught.value.code == "storage_unavailable"
        with pytest.raises(Overloaded):
            records.database.check_answers()

        path.unlink(missing_ok=True)
        kept.rename(path)
        records.database.check_answers()
        records.save(make(sop_instance_uid="1.2"))
        records.close()

    def test_a_file_that_is_deleted_during_a_transaction_is_noticed(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}")
        database.open()
        with pytest.raises(Overloaded) as caught, database.write():
            path.unlink()
        assert caught.value.code == "storage_unavailable"
        database.close()

    def test_no_value_of_a_record_is_in_an_error(self, records: Records, make: Make) -> None:
        with pytest.raises((sa.exc.StatementError, ValueError)) as caught:
            records.save(make(sop_instance_uid="1.99.canary", findings=(finding("Mass", probability=float("inf")),)))
        assert "canary" not in str(caught.value)


def _overloaded(records: Records, record: Record) -> None:
    with pytest.raises(Overloaded):
        records.save(record)

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from math import log
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from service.errors import ConfigurationError, Overloaded, StorageFull
from service.storage import sqlite
from service.storage.database import WAITING_WRITERS, Database, migrations
from service.storage.records import Records
from service.storage.tables import METADATA
from service.triage.rule import Rule
from tests.service.records import finding
from tests.service.storage.conftest import Make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triage.sqlite"


def one_line(error: ConfigurationError) -> bool:
    return "\n" not in error.message and error.message != ""


class TestOpen:
    def test_the_migrations_create_the_schema_of_the_tables(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}")
        database.open()
        with database.read() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True, "render_as_batch": True}
            )
            assert compare_metadata(context, METADATA) == []
            tables = {"instances", "predictions", "keys", "worklist", "changes", "clock", "outbox"}
            tables |= {"measurements", "opinions", "refusals"}
            assert tables | {"alembic_version"} == set(sa.inspect(connection).get_table_names())
        database.close()

    def test_all_migrations_can_be_undone(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}")
        database.open()
        with database.write() as connection:
            command.downgrade(migrations(connection), "base")
            assert sa.inspect(connection).get_table_names() == ["alembic_version"]
        database.close()

    @pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
    def test_predictions_survive_the_migration(self, path: Path, revision: str) -> None:
        """SQLite deletes them if a migration replaces the table of instances."""
        database = Database(f"sqlite:///{path}")
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

    def test_margins_are_computed_again_over_the_findings_of_the_rule(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}")
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

    def test_opening_twice_is_no_error(self, path: Path) -> None:
        for _ in range(2):
            database = Database(f"sqlite:///{path}")
            database.open()
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

    def test_a_database_of_a_newer_version_is_refused(self, path: Path) -> None:
        Database(f"sqlite:///{path}").open()
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        with pytest.raises(ConfigurationError, match="9999") as caught:
            Database(f"sqlite:///{path}").open()
        assert one_line(caught.value)


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
        connection.exec_driver_sql(
            "INSERT INTO predictions (id, instance_id, artefact_sha256, created, priority, margin, body, map_height, "
            "map_width, heat_map, class_maps) "
            "VALUES (?, 1, ?, '2026-01-01 00:00:00.000000', 'HIGH', 7, ?, 0, 0, '', '')",
            (id, str(number), json.dumps({"findings": findings, "reason": reason})),
        )
        connection.exec_driver_sql(
            "INSERT INTO worklist (prediction_id, instance_id, newest, unread, rank, urgency, created, positive, "
            "searched) VALUES (?, 1, 1, 1, 1, -7, '2026-01-01 00:00:00.000000', '', '')",
            (id,),
        )


def _margins(connection: sa.Connection) -> dict[str, float | None]:
    """Margin of each record; the worklist's key must be the same number."""
    rows = connection.exec_driver_sql(
        "SELECT id, margin, urgency FROM predictions JOIN worklist ON prediction_id = id"
    ).all()
    assert all(row.urgency == (1e300 if row.margin is None else -row.margin) for row in rows)
    return {row.id: row.margin for row in rows}


class TestFailures:
    def test_a_full_disk_raises_storage_full(self, records: Records, make: Make) -> None:
        with records.database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 20")
        new = [make(sop_instance_uid=f"1.{number}") for number in range(100)]
        with pytest.raises(StorageFull):
            list(map(records.save, new))
        saved = records.list(1000)[0]
        assert all(records.get(entry.id).class_maps.shape == (14, 7, 5) for entry in saved)

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

    def test_reads_go_on_while_writers_wait_for_a_locked_file(self, path: Path, make: Make) -> None:
        records = Records(f"sqlite:///{path}")
        records.open()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(WAITING_WRITERS) as pool:
            new = [make(sop_instance_uid=f"1.{number}") for number in range(WAITING_WRITERS)]
            saved = [pool.submit(records.save, each) for each in new]
            while records.database._writers.acquire(blocking=False):  # until all writers wait
                records.database._writers.release()
                time.sleep(0.01)

            assert records.list(1) == ((), None)
            with pytest.raises(Overloaded, match="too many writes"):
                records.save(make(sop_instance_uid="1.999"))
            assert not any(each.done() for each in saved)

            holder.execute("ROLLBACK")
            assert len({each.result(60).id for each in saved}) == WAITING_WRITERS
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
        with pytest.raises(sa.exc.StatementError) as caught:
            records.save(make(sop_instance_uid="1.99.canary", findings=(finding("Mass", probability=float("inf")),)))
        assert "canary" not in str(caught.value)

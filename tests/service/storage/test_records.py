import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from service.dicom.radiograph import IDENTITY_VERSION
from service.errors import Conflict, InvalidRequest, NotFound, Overloaded
from service.storage import cursor as cursors
from service.storage.database import Database
from service.storage.migration import migrations
from service.storage.record import Identity, Record
from service.storage.records import Records
from service.storage.tables import INSTANCES
from tests.service.records import finding
from tests.service.storage.conftest import Make

SAVER = """
import sys
from service.storage.records import Records
from tests.service.records import record
url, name, uids = sys.argv[1:]
records = Records(url)
print("ready", flush=True)
sys.stdin.readline()
records.open()
for number in range(int(uids)):
    saved = records.save(record(sop_instance_uid=f"1.{number}", instance_file=f"{name}{number}", priority="HIGH"))
    print(saved.id, flush=True)
"""


def saver(root: Path, url: str, name: str, uids: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, url, name, str(uids)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def stored(records: Records, uid: str) -> tuple[Identity, str] | None:
    found = records.stored(uid)
    return None if found is None else (Identity.of(found), found.instance_file)


def files(records: Records) -> set[str]:
    with records.database.read() as connection:
        return set(connection.scalars(sa.select(INSTANCES.c.instance_file)))


def same(one: Record, other: Record) -> bool:
    fields = set(Record.__dataclass_fields__) - {"heat_map", "class_maps"}
    return all(getattr(one, name) == getattr(other, name) for name in fields) and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(other, name).dtype == np.float32
        and getattr(other, name).dtype.isnative
        for name in ("heat_map", "class_maps")
    )


class TestSave:
    def test_keeps_every_field_exactly(self, records: Records, make: Make) -> None:
        record = make()
        assert same(record, records.save(record))
        assert same(record, records.get(record.id))

    def test_survives_a_restart(self, records: Records, make: Make, url: str) -> None:
        record = records.save(make(margin=None, accession_number=""))
        records.close()
        again = Records(url)
        again.open()
        assert same(record, again.get(record.id))
        again.close()

    def test_saving_a_key_again_returns_the_stored_record(self, records: Records, make: Make) -> None:
        first, second = records.save(make()), records.save(make(priority="ROUTINE"))
        assert same(first, second)
        assert len(records.list(10)[0]) == 1

    def test_other_display_values_under_a_known_uid_conflict(self, records: Records, make: Make) -> None:
        records.save(make())
        with pytest.raises(Conflict) as caught:
            records.save(make(display_sha256="e" * 64))
        assert "1.2.3.4.5" not in str(caught.value)
        assert len(files(records)) == 1

    def test_a_new_artefact_makes_a_record_beside_the_old(self, records: Records, make: Make) -> None:
        old, new = records.save(make()), records.save(make(artefact_sha256="b" * 64))
        assert old.id != new.id
        assert old.instance_file == new.instance_file
        assert {entry.id for entry in records.list(10)[0]} == {old.id, new.id}

    def test_returned_maps_are_writable(self, records: Records, make: Make) -> None:
        assert records.save(make()).heat_map.flags.writeable

    def test_created_is_kept_in_utc_to_the_microsecond(self, records: Records, make: Make) -> None:
        here = datetime(2026, 1, 31, 23, 59, 59, 123456, timezone(timedelta(hours=-5)))
        kept = records.save(make(created=here)).created
        assert kept == here
        assert kept.tzinfo is UTC

    def test_a_number_that_is_not_finite_is_refused(self, records: Records, make: Make) -> None:
        with pytest.raises((sa.exc.StatementError, ValueError)):
            records.save(make(findings=(finding("Mass", probability=float("nan")),)))
        assert not files(records)

    def test_a_naive_time_is_refused(self, records: Records, make: Make) -> None:
        with pytest.raises(sa.exc.StatementError):
            records.save(make(created=datetime(2026, 1, 1)))

    def test_after_a_lost_race_the_other_record_is_returned(
        self, records: Records, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On PostgreSQL another replica may commit between the query and the insert."""
        from service.storage import saving as module

        won, lost = make(), make()
        insert, first = module._insert_instance, threading.Event()

        def late(connection: sa.Connection, record: Record) -> int:
            if first.is_set():
                return insert(connection, record)
            first.set()
            insert(connection, won)
            raise IntegrityError("", None, Exception())

        monkeypatch.setattr(module, "_insert_instance", late)
        assert same(lost, records.save(lost))

    def test_a_conflict_that_never_ends_raises_overloaded(
        self, records: Records, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = make()
        records.save(record)
        with pytest.raises(Overloaded):  # the same file under another UID violates a constraint each time
            records.save(replace(record, sop_instance_uid="9", id="9"))


class TestManyWriters:
    def test_threads_with_one_key_share_one_record(self, records: Records, make: Make) -> None:
        new = [make() for _ in range(24)]
        with ThreadPoolExecutor(8) as pool:
            ids = {record.id for record in pool.map(records.save, new)}
        assert len(ids) == 1
        assert len(files(records)) == 1

    def test_processes_that_start_at_once_share_one_record_per_key(self, root: Path, url: str) -> None:
        processes = [saver(root, url, name, 20) for name in "abc"]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=300) for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0], answers
        ids = [output.split() for output, _ in answers]
        assert ids[0] == ids[1] == ids[2]
        records = Records(url)
        records.open()
        assert {entry.id for entry in records.list(100)[0]} == set(ids[0])
        assert len(files(records)) == 20
        records.close()

    def test_what_was_acknowledged_survives_a_kill(self, root: Path, url: str) -> None:
        with saver(root, url, "a", 10**6) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            acknowledged = [process.stdout.readline().strip() for _ in range(25)]
            process.kill()
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        assert all(acknowledged)
        records = Records(url)
        records.open()
        assert all(records.get(id).prediction.priority == "HIGH" for id in acknowledged)
        records.close()

    def test_deletes_and_saves_of_one_instance_leave_no_record_without_it(self, records: Records, make: Make) -> None:
        artefacts = [character * 64 for character in "abcdef"] * 6
        new = [make(artefact_sha256=artefact) for artefact in artefacts]

        def save_and_perhaps_delete(number: int) -> str | None:
            saved = records.save(new[number])
            if number % 2:
                return saved.id
            with suppress(NotFound):
                records.delete(saved.id)
            return None

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(save_and_perhaps_delete, range(len(new))))
        left = records.list(100)[0]
        assert {entry.instance_file for entry in left} == files(records)
        assert len({entry.artefact_sha256 for entry in left}) == len(left)


class TestFind:
    def test_a_record_is_found_by_its_whole_key(self, records: Records, make: Make) -> None:
        record = records.save(make())
        existing = records.find(Identity.of(record), record.artefact_sha256)
        assert existing is not None
        assert same(record, existing)

    def test_no_record_is_found_for_another_artefact_or_instance(self, records: Records, make: Make) -> None:
        record = records.save(make())
        assert records.find(Identity.of(record), "b" * 64) is None
        assert records.find(Identity.of(make(sop_instance_uid="9")), record.artefact_sha256) is None

    def test_conflict_for_other_display_values(self, records: Records, make: Make) -> None:
        records.save(make())
        with pytest.raises(Conflict):
            records.find(Identity.of(make(display_sha256="e" * 64)), "b" * 64)


class TestIdentityVersion:
    def test_hashes_of_two_versions_never_conflict(self, records: Records, make: Make) -> None:
        old = records.save(make(identity_version=IDENTITY_VERSION - 1))
        new = make(display_sha256="e" * 64)
        with pytest.raises(Overloaded):
            records.find(Identity.of(new), new.artefact_sha256)
        with pytest.raises(Overloaded):
            records.save(new)
        assert stored(records, new.sop_instance_uid) == (Identity.of(old), old.instance_file)

    def test_a_renewed_instance_is_compared_by_its_new_hash(self, records: Records, make: Make) -> None:
        old = records.save(make(identity_version=IDENTITY_VERSION - 1))
        new = make(display_sha256="e" * 64)
        records.renew(old.instance_file, Identity.of(new))
        assert stored(records, new.sop_instance_uid) == (Identity.of(new), old.instance_file)
        assert records.save(new).id == old.id
        with pytest.raises(Conflict):
            records.save(make())

    def test_only_the_named_file_is_renewed(self, records: Records, make: Make) -> None:
        one, other = (records.save(make(sop_instance_uid=uid, identity_version=1)) for uid in ("1.1", "1.2"))
        records.renew(one.instance_file, Identity.of(make(sop_instance_uid="1.1")))
        assert stored(records, "1.2") == (Identity.of(other), other.instance_file)

    def test_an_unknown_instance_is_not_stored(self, records: Records, make: Make) -> None:
        records.save(make())
        assert records.stored("9") is None

    def test_instances_from_before_the_column_are_of_version_1(self, url: str) -> None:
        database = Database(url)
        database.open()
        with database.write() as connection:
            command.downgrade(migrations(connection), "0005")
            connection.exec_driver_sql(
                "INSERT INTO instances (id, study_instance_uid, series_instance_uid, sop_instance_uid, "
                "accession_number, display_sha256, instance_file, instance_bytes, received) "
                "VALUES (1, '1', '1', '1.2.3.4.5', '', 'd', 'f.dcm', 1, '2026-01-01 00:00:00.000000')"
            )
        with database.write() as connection:
            command.upgrade(migrations(connection), "head")
            assert connection.scalar(sa.text("SELECT identity_version FROM instances")) == 1
        database.close()


class TestList:
    def test_pages_are_newest_first_and_equal_times_are_ordered_by_id(self, records: Records, make: Make) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        times = [now, now + timedelta(microseconds=1), now, now - timedelta(days=400), now, now + timedelta(hours=1)]
        saved = [records.save(make(created=time, sop_instance_uid=f"1.{i}")) for i, time in enumerate(times)]
        expected = [entry.id for entry in sorted(saved, key=lambda entry: (entry.created, entry.id), reverse=True)]
        for limit in range(1, 8):
            ids, cursor = [], None
            pages = -(-len(expected) // limit)
            for number in range(1, pages + 1):
                page, cursor = records.list(limit, cursor)
                ids += [entry.id for entry in page]
                assert (cursor is None) == (number == pages)
            assert ids == expected

    def test_records_added_or_deleted_between_pages_shift_no_page(self, records: Records, make: Make) -> None:
        saved = [records.save(make(sop_instance_uid=f"1.{number}")).id for number in range(4)]
        first, cursor = records.list(2)
        records.save(make(sop_instance_uid="1.9"))
        records.delete(first[0].id)
        second, _ = records.list(2, cursor)
        assert [entry.id for entry in (*first, *second)] == saved[::-1]

    def test_a_summary_has_no_maps(self, records: Records, make: Make) -> None:
        record = records.save(make())
        (entry,), cursor = records.list(1)
        assert not hasattr(entry, "heat_map")
        assert entry.prediction == record.prediction
        assert cursor is None

    def test_an_empty_list_is_one_page(self, records: Records) -> None:
        assert records.list(5) == ((), None)

    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "x",
            "é",
            "AAAA",
            "MjAyNi0wMS0wMQ==",
            "MjAyNi0wMS0wMSB4",
            cursors.encode(datetime.max.replace(tzinfo=UTC), "")[1:],
        ],
    )
    def test_an_invalid_cursor_is_refused(self, records: Records, cursor: str) -> None:
        with pytest.raises(InvalidRequest):
            records.list(5, cursor)

    @given(st.text(max_size=80))
    def test_any_text_is_a_cursor_or_refused(self, text: str) -> None:
        try:
            created, _ = cursors.decode(text)
        except InvalidRequest:
            return
        assert created.tzinfo is UTC

    @given(st.datetimes(timezones=st.just(UTC)), st.uuids())
    def test_a_cursor_is_decoded_exactly(self, created: datetime, id: UUID) -> None:
        assert cursors.decode(cursors.encode(created, id.hex)) == (created, id.hex)


class TestDelete:
    def test_deleting_the_last_record_returns_the_file(self, records: Records, make: Make) -> None:
        record = records.save(make())
        assert records.delete(record.id) == record.instance_file
        assert not files(records)
        with pytest.raises(NotFound):
            records.get(record.id)

    def test_a_file_that_another_record_uses_stays(self, records: Records, make: Make) -> None:
        old, new = records.save(make()), records.save(make(artefact_sha256="b" * 64))
        assert records.delete(old.id) is None
        assert same(new, records.get(new.id))
        assert records.delete(new.id) == new.instance_file

    def test_other_instances_stay(self, records: Records, make: Make) -> None:
        record, other = records.save(make()), records.save(make(sop_instance_uid="9"))
        records.delete(record.id)
        assert files(records) == {other.instance_file}

    @pytest.mark.parametrize("id", ["", "x", "' OR 1=1 --", "\x00"])
    def test_an_unknown_id_is_not_found(self, records: Records, make: Make, id: str) -> None:
        records.save(make())
        with pytest.raises(NotFound):
            records.delete(id)
        with pytest.raises(NotFound):
            records.get(id)
        assert len(files(records)) == 1

    def test_a_deleted_instance_may_be_saved_with_other_values(self, records: Records, make: Make) -> None:
        records.delete(records.save(make()).id)
        assert records.save(make(display_sha256="e" * 64)).display_sha256 == "e" * 64

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import settings
from service.storage.instances import Instances
from service.storage.records import Records
from tests.service.conftest import Run
from tests.service.records import record


@pytest.fixture
def stored(records: Records) -> Path:
    """Store two records with their files, one forty days old and one new, and return the folder of the files."""
    instances = Instances(settings.load().storage.folder / "instances")
    instances.open()
    for number, days in enumerate((40, 0)):
        records.save(
            record(
                sop_instance_uid=f"2.25.3.{number}",
                instance_file=instances.put(b"0123456789"),
                instance_bytes=10,
                created=datetime.now(UTC) - timedelta(days=days),
            )
        )
    return instances.folder


def count(folder: Path) -> int:
    return len(list(folder.rglob("*.dcm")))


def test_a_dry_run_deletes_nothing(run: Run, stored: Path) -> None:
    expected = "would delete 1 records, 1 instances of 10 bytes\n"

    assert run("purge", "--older-than", "30", "--dry-run") == (0, expected, "")
    assert count(stored) == 2


def test_older_records_are_deleted(run: Run, stored: Path, records: Records) -> None:
    assert run("purge", "--older-than", "30") == (0, "deleted 1 records, 1 instances of 10 bytes\n", "")
    assert run("purge", "--older-than", "30") == (0, "deleted 0 records, 0 instances of 0 bytes\n", "")
    assert count(stored) == len(records.list(10)[0]) == 1


def test_the_default_age_is_the_setting(run: Run, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_STORAGE__KEEP_DAYS", "30")

    assert run("purge")[1].startswith("deleted 1 records")
    assert count(stored) == 1


def test_zero_days_deletes_everything(run: Run, stored: Path) -> None:
    assert run("purge", "--older-than", "0")[1].startswith("deleted 2 records")
    assert count(stored) == 0


def test_without_an_age_nothing_is_deleted(run: Run, stored: Path) -> None:
    code, _, err = run("purge")

    assert (code, count(stored)) == (2, 2)
    assert "TRIAGE_STORAGE__KEEP_DAYS" in err

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import settings
from service.storage.instances import Instances
from service.storage.keys import Keys
from service.storage.records import Records
from service.storage.url import database_url
from tests.service.conftest import Run
from tests.service.records import record


@pytest.fixture
def records(run: Run) -> Iterator[Records]:
    records = Records(database_url(settings.load()))
    records.open()
    yield records
    records.close()


# Keys...


def test_standard_output_is_the_key_alone(run: Run, records: Records) -> None:
    code, out, err = run("keys", "add", "ward-2", "--scope", "predict", "--scope", "admin")

    assert code == 0
    assert re.fullmatch(r"triage_[A-Za-z0-9_-]{43}\n", out)
    assert "not shown again" in err
    key = Keys(records.database).find(out.strip())
    assert key is not None
    assert (key.name, key.scopes) == ("ward-2", {"predict", "admin"})
    assert out.strip() not in run("keys", "list")[1]


def test_a_key_has_the_scopes_predict_and_read_by_default(run: Run, records: Records) -> None:
    key = Keys(records.database).find(run("keys", "add", "a")[1].strip())

    assert key is not None
    assert key.scopes == {"predict", "read"}


def test_keys_are_listed_and_revoked(run: Run, records: Records) -> None:
    token = run("keys", "add", "a", "--scope", "read")[1].strip()
    run("keys", "add", "b", "--scope", "admin")

    assert run("keys", "revoke", "a") == (0, "revoked a\n", "")

    assert Keys(records.database).find(token) is None
    _, first, second = run("keys", "list")[1].strip().splitlines()
    assert re.fullmatch(r"a +read +[\d-]{10} [\d:]{5} UTC +[\d-]{10} [\d:]{5} UTC", first.strip())
    assert re.fullmatch(r"b +admin +[\d-]{10} [\d:]{5} UTC", second.strip())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("add", "a"), 2, "is never used again"),
        (("add", "a b"), 2, "name"),
        (("add", "b", "--scope", "everything"), 2, "predict, read, admin"),
        (("revoke", "none"), 1, "no valid key has this name"),
    ],
)
def test_an_error_is_one_line(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    run("keys", "add", "a")

    got, out, err = run("keys", *arguments)

    assert (got, out, len(err.splitlines())) == (code, "", 1)
    assert err.startswith("triage: ")
    assert message in err


# Purge...


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

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import settings
from service.storage.instances import Instances
from service.storage.keys import Keys
from service.storage.records import Records
from tests.service.conftest import Run
from tests.service.records import record


@pytest.fixture
def records(run: Run) -> Iterator[Records]:
    records = Records(settings.load().database_url)
    records.open()
    yield records
    records.close()


# Keys...


def test_a_key_is_printed_alone_and_once(run: Run, records: Records) -> None:
    code, out, err = run("keys", "add", "ward-2", "--scope", "predict", "--scope", "admin")

    assert code == 0
    assert re.fullmatch(r"triage_[A-Za-z0-9_-]{43}\n", out)
    assert "only now" in err
    found = Keys(records.database).find(out.strip())
    assert found is not None
    assert (found.name, found.scopes) == ("ward-2", {"predict", "admin"})
    assert out.strip() not in run("keys", "list")[1]


def test_without_a_scope_it_may_send_and_read(run: Run, records: Records) -> None:
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
    ("arguments", "code", "said"),
    [
        (("add", "a"), 2, "a name is given once"),
        (("add", "a b"), 2, "name"),
        (("add", "b", "--scope", "everything"), 2, "predict, read, admin"),
        (("revoke", "none"), 1, "no key in force has this name"),
    ],
)
def test_what_is_refused_is_one_line(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    run("keys", "add", "a")

    got, out, err = run("keys", *arguments)

    assert (got, out, len(err.splitlines())) == (code, "", 1)
    assert err.startswith("triage: ")
    assert said in err


# Purge...


@pytest.fixture
def kept(records: Records) -> Path:
    """Two records with their files, forty days old and new; gives the folder of the files."""
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


def test_a_dry_run_only_counts(run: Run, kept: Path) -> None:
    told = "would delete 1 records, 1 instances of 10 bytes\n"

    assert run("purge", "--older-than", "30", "--dry-run") == (0, told, "")
    assert count(kept) == 2


def test_what_is_older_is_deleted(run: Run, kept: Path, records: Records) -> None:
    assert run("purge", "--older-than", "30") == (0, "deleted 1 records, 1 instances of 10 bytes\n", "")
    assert run("purge", "--older-than", "30") == (0, "deleted 0 records, 0 instances of 0 bytes\n", "")
    assert count(kept) == len(records.list(10)[0]) == 1


def test_the_setting_says_how_old(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_STORAGE__KEEP_DAYS", "30")

    assert run("purge")[1].startswith("deleted 1 records")
    assert count(kept) == 1


def test_nought_days_is_everything(run: Run, kept: Path) -> None:
    assert run("purge", "--older-than", "0")[1].startswith("deleted 2 records")
    assert count(kept) == 0


def test_without_either_nothing_is_deleted(run: Run, kept: Path) -> None:
    code, _, err = run("purge")

    assert (code, count(kept)) == (2, 2)
    assert "TRIAGE_STORAGE__KEEP_DAYS" in err

"""`triage` with its DICOM files in a bucket: a restart with an empty folder, a kill between bucket and database."""

import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from service import settings
from service.storage import bucket
from service.storage.instance_store import instance_store
from service.storage.records import Records
from service.storage.url import database_url
from tests.factories import dicom_bytes, noise
from tests.ports import refusing
from tests.service.conftest import Run
from tests.service.dimse.serving import TRIAGE, Process, environment, service
from tests.service.records import record
from tests.service.s3_server import KEY, SECRET, S3Server

DATA = dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.991")
UPLOAD = {"Content-Type": "application/dicom"}
OCTETS = {"Accept": "application/octet-stream"}
INSTANCE = "/dicom-web/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"


@pytest.fixture
def variables(artefact: Path, tmp_path: Path, aws: dict[str, str], in_bucket: dict[str, str]) -> dict[str, str]:
    storage = {f"TRIAGE_STORAGE__{name.upper()}": value for name, value in in_bucket.items()}
    database = {"TRIAGE_DATABASE__URL": f"sqlite:///{tmp_path / 'triage.sqlite'}"}
    return environment(artefact, tmp_path, **aws, **storage, **database)


@pytest.fixture
def command(run: Run, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command in this process, with the bucket."""
    for name, value in variables.items():
        if name.startswith("TRIAGE_") and name != "TRIAGE_STORAGE__FOLDER":
            monkeypatch.setenv(name, value)
    return run


@pytest.fixture
def records(command: Run) -> Iterator[Records]:
    opened = Records(database_url(settings.load()))
    opened.open()
    yield opened
    opened.close()


@contextmanager
def serving(variables: dict[str, str], folder: Path) -> Iterator[tuple[Process, httpx.Client]]:
    with (
        service(variables | {"TRIAGE_STORAGE__FOLDER": str(folder)}, folder.with_suffix(".log")) as served,
        httpx.Client(base_url=served.address, timeout=60) as client,
    ):
        yield served, client


def test_a_service_with_an_empty_folder_has_what_another_has_stored(
    variables: dict[str, str], tmp_path: Path, s3: S3Server, prefix: str
) -> None:
    with serving(variables, tmp_path / "first") as (_, client):
        before = client.post("/v1/predictions", content=DATA, headers=UPLOAD).json()
        frames = client.get(INSTANCE.format(**before) + "/frames/1", headers=OCTETS).content
        overlay = client.get(before["links"]["overlay"]).content

    with serving(variables, tmp_path / "second") as (_, client):
        path = INSTANCE.format(**before)
        assert (client.get(path, headers={"Accept": "application/dicom"}).content == DATA) is True
        assert (client.get(path + "/frames/1", headers=OCTETS).content == frames) is True
        assert (client.get(before["links"]["overlay"]).content == overlay) is True
        assert len(frames) == 256 * 256 * 2
        assert client.post("/v1/predictions", content=DATA, headers=UPLOAD).json()["id"] == before["id"]
    assert len(s3.keys(prefix)) == 1
    for log in tmp_path.glob("*.log"):
        assert SECRET not in log.read_text()
        assert KEY not in log.read_text()


def test_a_kill_between_bucket_and_database_loses_nothing_that_was_acknowledged(
    variables: dict[str, str],
    command: Run,
    tmp_path: Path,
    s3: S3Server,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[httpx.Response] = []
    with serving(variables, tmp_path / "first") as (served, client):
        acknowledged = client.post("/v1/predictions", content=DATA, headers=UPLOAD).json()

        def send() -> None:
            other = dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.992")
            with pytest.raises(httpx.TransportError):
                answers.append(client.post("/v1/predictions", content=other, headers=UPLOAD))

        with closing(sqlite3.connect(tmp_path / "triage.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")  # the commit has to wait
            sending = threading.Thread(target=send)
            sending.start()
            wait_until(lambda: len(s3.keys(prefix)) == 2)
            served.process.kill()
            served.process.wait()
            sending.join()
    assert answers == []

    with serving(variables, tmp_path / "first") as (_, client):
        assert [item["id"] for item in client.get("/v1/predictions").json()["items"]] == [acknowledged["id"]]
        path = INSTANCE.format(**acknowledged)
        assert client.get(path, headers={"Accept": "application/dicom"}).content == DATA

    [left] = (tmp_path / "first" / "spool").rglob("*.partial")
    assert len(s3.keys(prefix)) == 2
    os.utime(left, (0, 0))
    monkeypatch.setattr(bucket, "_clock", lambda _: datetime.now(UTC) + timedelta(hours=2))
    monkeypatch.setenv("TRIAGE_STORAGE__FOLDER", str(tmp_path / "first"))
    assert "deleted 2 files without a record" in command("purge", "--older-than", "36500")[1]
    assert (len(s3.keys(prefix)), left.exists()) == (1, False)


def test_check_says_that_the_bucket_answers_or_why_not(
    command: Run, s3: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = command("check")
    assert (code, err) == (0, "")
    assert f"storage: sound, s3://radiographs/{prefix} answers" in out
    assert s3.keys(prefix) == []

    monkeypatch.setenv("TRIAGE_STORAGE__URL", "s3://another-bucket")
    code, out, err = command("check")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "s3://another-bucket" in err
    assert SECRET not in out + err


def test_a_service_does_not_start_without_its_bucket(variables: dict[str, str], tmp_path: Path) -> None:
    with refusing() as port:
        variables["TRIAGE_STORAGE__ENDPOINT"] = f"http://127.0.0.1:{port}"
        command = [TRIAGE, "serve"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=False)

    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]  # the rest is the log
    assert (done.returncode, len(lines)) == (2, 1)
    assert "TRIAGE_STORAGE__URL" in lines[0]


def test_predict_needs_no_bucket(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_STORAGE__URL", "s3://another-bucket")
    (tmp_path / "chest.dcm").write_bytes(DATA)

    code, out, err = command("predict", "--json", str(tmp_path / "chest.dcm"))

    assert (code, err) == (0, "")
    assert json.loads(out)["status"] == 200


def test_a_purge_deletes_what_is_in_the_bucket(command: Run, records: Records, s3: S3Server, prefix: str) -> None:
    with closing(instance_store(settings.load().storage)) as instances:
        instances.open()
        for number, days in enumerate((40, 0)):
            with closing(instances.receive()) as file:
                file.write([b"0123456789"])
                file.keep()
            created = datetime.now(UTC) - timedelta(days=days)
            uid = f"2.25.99{number}"
            records.save(record(sop_instance_uid=uid, instance_file=file.name, instance_bytes=10, created=created))
    assert len(s3.keys(prefix)) == 2

    assert command("purge", "--older-than", "30") == (0, "deleted 1 records, 1 instances of 10 bytes\n", "")
    assert [key.rpartition("/")[2] for key in s3.keys(prefix)] == [file.name]
    assert command("purge", "--older-than", "0")[1].startswith("deleted 1 records")
    assert s3.keys(prefix) == []


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)

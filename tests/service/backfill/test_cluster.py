"""A back-fill on two nodes of Ray, which lose a process, a node and the command; and one that sends reports."""

import json
import os
import pickle
import subprocess
from collections.abc import Iterator
from contextlib import closing
from email import message_from_bytes
from email.policy import HTTP
from io import BytesIO
from pathlib import Path
from queue import Queue
from threading import Event

import pytest
import ray
from pydicom import dcmread

from bench import backfill
from service.backfill import cluster
from service.backfill.cluster import groups, in_time
from service.backfill.stages import Batch, Deliverer
from service.backfill.table import Table
from service.backfill.work import Work
from service.errors import TriageError
from service.settings import Settings, Storage
from tests.factories import dicom_bytes, noise
from tests.service.conftest import Run
from tests.service.records import record
from tests.service.stub import Stub, stub


def test_nothing_is_lost_or_doubled_by_a_killed_worker_node_and_command(tmp_path: Path) -> None:
    text = backfill.kill_all(backfill.arguments(["--kill", "--files", "1600", "--side", "256"]), tmp_path)
    assert "1600 files with one row each" in text


def test_a_cluster_that_stands_still_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, waits = Event(), iter([60.0, 0.1])  # the first batch comes, however late; the second does not

    class Hurried(Queue[object]):
        def get(self, block: bool = True, timeout: float | None = None) -> object:
            assert timeout == 120
            return super().get(block, next(waits, 60.0))

    def batches() -> Iterator[Batch]:
        yield {"file": ["a"]}
        ended.wait()

    monkeypatch.setattr(cluster, "Queue", Hurried)
    taken = in_time(batches(), 120)
    assert next(taken) == {"file": ["a"]}
    with pytest.raises(TriageError, match="for 2 minutes; the same command goes on") as raised:
        next(taken)
    assert raised.value.code == "cluster_failed"
    ended.set()
    assert list(in_time(batches(), 120)) == [{"file": ["a"]}]


def test_an_error_of_the_cluster_reaches_the_command() -> None:
    def batches() -> Iterator[Batch]:
        yield {}
        raise MemoryError

    with pytest.raises(MemoryError):
        list(in_time(batches(), 60))


def test_where_every_file_has_a_row_ray_does_not_start(
    run: Run, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    words = ("backfill", str(archive(tmp_path, 2)), str(tmp_path / "table"))
    started: list[object] = []
    monkeypatch.setattr(ray, "init", lambda **options: started.append(options))
    assert run(*words)[0] == 0

    code, _, err = run(*words, "--engine", "ray")

    assert (code, started) == (0, [])
    assert "2 files have a row, 2 of them from earlier runs" in err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:first"])
def test_an_address_where_nothing_answers_is_refused_in_a_line(
    run: Run, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    words = ("backfill", str(archive(tmp_path, 1)), str(tmp_path / "table"), "--engine", "ray", "--address", address)
    code, _, err = run(*words)
    assert (code, err) == (2, f"triage: --address {address}: nothing answers there\n")


def test_where_there_is_no_cluster_none_is_joined(
    run: Run, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    monkeypatch.setattr(ray, "init", fail)
    words = ("backfill", str(archive(tmp_path, 1)), str(tmp_path / "table"), "--engine", "ray", "--address", "auto")
    code, _, err = run(*words)
    assert (code, err) == (2, "triage: --address auto: there is no Ray cluster (ConnectionError)\n")


def test_a_large_archive_is_read_by_fewer_larger_tasks() -> None:
    names = list(map(str, range(10_000)))
    grouped = list(groups(iter(names)))
    assert [name for group in grouped for name in group] == names
    assert [len(group) for group in grouped] == [32] * 256 + [256] * 7 + [16]


def test_ray_sends_each_report_once_under_the_uids_of_the_local_engine(artefact: Path, tmp_path: Path) -> None:
    folder, sent = archive(tmp_path, 3), {}
    (folder / "lateral.dcm").write_bytes(dicom_bytes(noise(), ViewPosition="LL"))
    for engine in ("local", "ray"):
        with stub() as pacs:
            destination = {"name": "pacs", "url": f"{pacs.url}/dicom-web"}
            variables = {
                "TRIAGE_MODEL__PATH": str(artefact),
                "TRIAGE_STORAGE__FOLDER": str(tmp_path / "data"),
                "TRIAGE_SENDING__DESTINATIONS": json.dumps([destination]),
            }
            table = tmp_path / engine
            words = [
                str(backfill.TRIAGE),
                "backfill",
                str(folder),
                str(table),
                "--report-to",
                "pacs",
                "--engine",
                engine,
            ]
            done = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            assert backfill.rows(table) == {1: 4}
            sent[engine] = reports(pacs)

    assert sent["ray"] == sent["local"]
    assert [read for read, _ in sent["ray"]] == [f"2.25.{number}" for number in range(1, 4)]


def test_a_file_that_has_changed_since_it_was_predicted_is_not_delivered(tmp_path: Path) -> None:
    folder, settings = archive(tmp_path, 1), Settings(storage=Storage(folder=tmp_path / "data"))
    work = Work(settings, str(folder), str(tmp_path / "table"), Table(("Mass",), "a" * 64), stores=True)
    batch = {"file": ["1.dcm"], "row": [b"row"], "record": [pickle.dumps(record())], "digest": [bytes(32)]}

    with closing(Deliverer(work)) as deliver:
        assert pickle.loads(deliver(batch)["row"][0]) == "file_changed"
    assert not list((tmp_path / "data").rglob("*.dcm"))


def archive(folder: Path, count: int) -> Path:
    """Write radiographs with the SOP Instance UIDs 2.25.1, 2.25.2, ..."""
    path = folder / "archive"
    path.mkdir()
    for number in range(1, count + 1):
        data = dicom_bytes(noise(300, 260, seed=number), SOPInstanceUID=f"2.25.{number}")
        (path / f"{number}.dcm").write_bytes(data)
    return path


def reports(pacs: Stub) -> list[tuple[str, list[str]]]:
    """Return the instance that each report is about, and the report's own UIDs."""
    found = []
    for headers, body in pacs.received:
        message = message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body, policy=HTTP)
        [part] = message.iter_parts()  # type: ignore[attr-defined]
        report = dcmread(BytesIO(part.get_payload(decode=True)))
        [study] = report.CurrentRequestedProcedureEvidenceSequence
        [series] = study.ReferencedSeriesSequence
        [instance] = series.ReferencedSOPSequence
        uids = [str(report[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        found.append((str(instance.ReferencedSOPInstanceUID), uids))
    return sorted(found)

"""`triage backfill` as its user runs it; test_interruption.py stops it."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from service.backfill import local
from service.backfill.folder import Folder
from service.backfill.work import Progress, Work
from service.cli.backfill import position
from tests.factories import dicom_bytes, noise
from tests.service.conftest import Run

TRIAGE = Path(sys.executable).with_name("triage")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Write four radiographs, a lateral view and a text."""
    folder = tmp_path / "archive"
    for number in range(4):
        path = folder / str(number % 2) / f"1.2.{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom_bytes(noise(300, 260, seed=number), SOPInstanceUID=f"2.25.{number + 1}"))
    (folder / "lateral.dcm").write_bytes(dicom_bytes(noise(), ViewPosition="LL"))
    (folder / "notes.txt").write_text("not DICOM")
    return folder


@pytest.fixture
def triage(run: Run, artefact: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    return lambda *arguments: run(*map(str, arguments))


def rows(folder: Path) -> dict[str, dict[str, object]]:
    """Read a table; a file has one row."""
    found = pa.concat_tables([parquet.read_table(part) for part in folder.glob("*.parquet")]).to_pylist()
    assert set(Counter(row["file"] for row in found).values()) <= {1}
    return {row["file"]: row for row in found}


def test_the_rows_are_those_of_triage_predict(triage: Run, archive: Path, tmp_path: Path) -> None:
    code, out, err = triage("backfill", archive, tmp_path / "table")
    assert (code, out) == (0, "")
    assert "6 files have a row; refused: " in err
    found = rows(tmp_path / "table")
    assert found["lateral.dcm"]["code"] == ["view_unsuitable"]
    assert found["notes.txt"]["code"] == ["not_dicom"]

    files = [archive / name for name in found]
    _, lines, _ = triage("predict", "--json", *files)
    for line in map(json.loads, lines.splitlines()):
        row = found[str(Path(line["filename"]).relative_to(archive))]
        assert row["status"] == line["status"]
        assert row["artefact_sha256"] == line["artefact_sha256"]
        if line["status"] == 200:
            expected = line["prediction"]
            assert row["sop_instance_uid"] == expected["sop_instance_uid"]
            assert (row["priority"], row["box"], row["flags"]) == (
                expected["priority"],
                expected["box"],
                expected["flags"],
            )
            for finding in expected["findings"]:
                assert row[finding["label"]] == pytest.approx(finding["probability"], abs=1e-6)


def test_a_second_run_does_only_what_is_new(triage: Run, archive: Path, tmp_path: Path) -> None:
    triage("backfill", archive, tmp_path / "table")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "table").glob("*.parquet")}
    (archive / "new.dcm").write_bytes(dicom_bytes(noise(seed=9), SOPInstanceUID="2.25.9"))
    code, _, err = triage("backfill", archive, tmp_path / "table")

    assert code == 0
    assert "7 files have a row, 6 of them from earlier runs" in err
    assert len(rows(tmp_path / "table")) == 7
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_table_without_stored_records_is_not_continued_with_them(triage: Run, archive: Path, tmp_path: Path) -> None:
    triage("backfill", archive, tmp_path / "table")
    code, _, err = triage("backfill", archive, tmp_path / "table", "--store")
    assert (code, "another choice of --store or --report-to; choose another destination" in err) == (2, True)


def test_names_can_be_hashed_and_looked_up(triage: Run, archive: Path, tmp_path: Path) -> None:
    triage("backfill", archive, tmp_path / "table", "--hash-names")
    uids = {str(row["sop_instance_uid"]) for row in rows(tmp_path / "table").values()}
    _, out, _ = triage("hash", "2.25.1")

    assert out.strip() in uids
    assert not any(uid.startswith("2.25") for uid in uids)
    code, _, err = triage("backfill", archive, tmp_path / "table")
    assert (code, "choose another destination" in err) == (2, True)


def test_other_processes_are_held_to_the_artefact_that_the_table_names(
    triage: Run, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Work] = []

    async def run(work: Work, *_: object) -> None:
        handed.append(work)

    monkeypatch.setattr(local, "run", run)
    assert triage("backfill", archive, tmp_path / "table")[0] == 0
    [work] = handed
    assert work.settings.model.sha256 == work.table.artefact_sha256


def test_a_source_that_does_not_exist_is_one_line(triage: Run, tmp_path: Path) -> None:
    code, _, err = triage("backfill", tmp_path / "nowhere", tmp_path / "table")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("triage: ")
    assert not (tmp_path / "table").exists()


def test_files_of_another_source_are_not_taken_for_those_of_the_table(
    triage: Run, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triage("backfill", archive, tmp_path / "table")
    shutil.copytree(archive, tmp_path / "other")
    code, _, err = triage("backfill", tmp_path / "other", tmp_path / "table")
    assert (code, "has results of another source; choose another destination" in err) == (2, True)
    monkeypatch.chdir(tmp_path)
    assert triage("backfill", "./archive/", tmp_path / "table")[0] == 0


def test_a_table_made_under_another_rule_is_not_continued(
    triage: Run, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triage("backfill", archive, tmp_path / "table")
    monkeypatch.setenv("TRIAGE_TRIAGE__STAT", "[]")
    code, _, err = triage("backfill", archive, tmp_path / "table")
    assert (code, "another triage rule, presentation or gate; choose another destination" in err) == (2, True)


def test_the_table_is_not_put_among_the_files(triage: Run, archive: Path) -> None:
    code, _, err = triage("backfill", archive, archive / "table")
    assert (code, "DESTINATION is inside SOURCE" in err) == (2, True)
    assert not (archive / "table").exists()


@pytest.mark.parametrize(
    ("option", "words"),
    [("--address", "--address needs --engine ray"), ("--authorization-file", "for DICOMweb archives only")],
)
def test_an_option_that_would_have_no_effect_is_refused(
    triage: Run, archive: Path, tmp_path: Path, option: str, words: str
) -> None:
    code, _, err = triage("backfill", archive, tmp_path / "table", option, "127.0.0.1:1")
    assert code == 2
    assert words in " ".join(err.replace("│", "").split())


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_name_that_is_not_utf8_has_a_row_and_is_known_again(
    triage: Run, archive: Path, tmp_path: Path, engine: str
) -> None:
    (archive / "1.2.9").write_bytes(dicom_bytes(noise(seed=9), SOPInstanceUID="2.25.9"))
    (archive / "1.2.9").rename(archive / os.fsdecode(b"r\xf6ntgen"))
    words = ("backfill", archive, tmp_path / "table", "--engine", engine)
    subprocess.run([TRIAGE, *words], check=True, capture_output=True, timeout=300)
    assert rows(tmp_path / "table")["r\\xf6ntgen"]["status"] == 200
    assert "7 files have a row, 7 of them from earlier runs" in triage(*words)[2]


def test_a_folder_that_was_away_is_predicted_by_the_next_run(triage: Run, archive: Path, tmp_path: Path) -> None:
    os.mkfifo(archive / "pipe.dcm")
    away, listed = tmp_path / "away", Folder.references

    def references(source: Folder) -> Iterator[str]:
        names = list(listed(source))
        if threading.current_thread().name != "count":
            (archive / "1").rename(away)
        return iter(names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Folder, "references", references)
        code, _, err = triage("backfill", archive, tmp_path / "table")
    assert (code, "5 files have a row" in err, "2 files have none yet (file_gone 2)" in err) == (1, True, True)
    assert rows(tmp_path / "table")["pipe.dcm"]["code"] == ["not_a_regular_file"]

    away.rename(archive / "1")
    code, _, err = triage("backfill", archive, tmp_path / "table")
    assert (code, "7 files have a row, 5 of them from earlier runs" in err) == (0, True)


def test_the_time_left_follows_from_the_rate_of_this_run() -> None:
    assert position(Progress(None, 100, 110), 5) == "110 files, 2.0 a second"
    ten = Counter(file_gone=10)
    assert position(Progress(1000, 100, 110, ten), 5) == "110 of 1000 files, 4.0 a second, 0:03:40 left"
    assert position(Progress(1000, 1000, 1000), 5) == "1000 files, 0.0 a second"

"""The parts of a table, in a folder and in remote storage."""

import hashlib
import multiprocessing
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from service.backfill.outcome import Outcome
from service.backfill.parts import ROWS, Part, Parts, contains, digests
from service.backfill.table import Table
from service.errors import ConfigurationError, MalformedDicom, TriageError, UnsupportedEncoding
from tests.conftest import ROOT
from tests.service.records import record

TABLE = Table(("Pneumothorax", "Mass", "Hernia"), "a" * 64)


@pytest.fixture(params=["folder", "remote"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "new" / "table") if request.param == "folder" else f"memory://{tmp_path.name}/table"


def put(parts: Parts, *names: str) -> None:
    parts.put([TABLE.row(Outcome(name, record())) for name in names], names)


def files(url: str) -> Counter[str]:
    """Count the rows of each file, as any reader of Parquet does."""
    filesystem, root = fsspec.core.url_to_fs(url)
    paths = [path for path in filesystem.ls(root, detail=False) if path.endswith(".parquet")]
    return Counter(name for path in paths for name in parquet.read_table(filesystem.open(path))["file"].to_pylist())


def test_parts_are_tables_that_any_reader_opens(url: str) -> None:
    parts = Parts(url, TABLE)
    put(parts, "a", "b")
    put(parts, "c")

    assert files(url) == Counter("abc")
    assert np.array_equal(parts.settle(), np.sort(digests("abc")))


def test_the_same_work_done_again_replaces_its_part(url: str) -> None:
    for _ in range(2):
        put(Parts(url, TABLE), "a", "b")
    assert files(url) == Counter("ab")


def test_a_row_that_two_parts_have_is_dropped_once(url: str) -> None:
    parts = Parts(url, TABLE)
    put(parts, "a", "b")
    put(parts, "b", "c")
    put(parts, "a", "b")
    for _ in range(2):
        assert np.array_equal(parts.settle(), np.sort(digests("abc")))
    assert files(url) == Counter("abc")


def test_rows_go_into_a_part_once_there_are_enough_of_them(url: str) -> None:
    part = Part(Parts(url, TABLE))
    row, names = TABLE.row(Outcome("a", record())), list(map(str, range(ROWS)))
    for name in names:
        assert not part.is_complete
        part.add(name, row | {"file": name})
    assert part.is_complete
    assert files(url) == Counter()
    for _ in range(2):  # the second one is empty
        part.write()
    assert files(url) == Counter(names)


def test_an_empty_destination_has_no_row(url: str) -> None:
    parts = Parts(url, TABLE)
    assert len(parts.settle()) == 0
    assert parts.refusals() == {}


def test_refusals_are_counted_by_code(url: str) -> None:
    parts = Parts(url, TABLE)
    errors = [MalformedDicom("no"), MalformedDicom("no"), UnsupportedEncoding("no")]
    parts.put([TABLE.row(Outcome(str(place), error=error)) for place, error in enumerate(errors)], "012")
    put(parts, "a")
    assert parts.refusals() == {MalformedDicom.code: 2, UnsupportedEncoding.code: 1}


def test_no_thread_of_arrow_holds_a_part_that_was_read(tmp_path: Path) -> None:
    """Such a thread aborts a process that ends at the same time (status -6), although all results are written.

    Arrow's threads stay. One of Python's that was joined may still be on its way out for a moment.
    """
    put(Parts(str(tmp_path), TABLE), "a", "b")
    script = """
import os, sys, time
from service.backfill.parts import Parts
from service.backfill.table import Table
parts = Parts(sys.argv[1], Table(("Pneumothorax", "Mass", "Hernia"), "a" * 64))
before = set(os.listdir("/proc/self/task"))
parts.refusals(), parts.settle()
end = time.monotonic() + 60
while (threads := set(os.listdir("/proc/self/task")) - before) and time.monotonic() < end:
    time.sleep(0.01)
print(len(threads))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"artefact_sha256": "b" * 64}, "another artefact"),
        ({"key": None}, "another choice of --hash-names, or another key"),
        ({"key": bytes(32)}, "another choice of --hash-names, or another key"),
        ({"labels": ("Mass",)}, "another form"),
        ({"delivered": "stored"}, "another choice of --store or --report-to"),
        ({"settings": '{"triage":{"stat":["Mass"]}}'}, "another triage rule, presentation or gate"),
        ({"source": "/b", "artefact_sha256": "b" * 64}, "another source and another artefact"),
    ],
)
def test_other_results_are_not_mixed_with_these(url: str, change: dict[str, Any], words: str) -> None:
    mine = replace(TABLE, key=bytes(range(32)), source="/a")
    other = replace(mine, **change)
    Parts(url, other).put([other.row(Outcome("a", error=MalformedDicom("no")))], "a")
    with pytest.raises(ConfigurationError, match=f"has results of {words}; choose another destination") as caught:
        Parts(url, mine).settle()
    assert caught.value.code == "other_results"


def test_the_name_of_a_part_tells_no_name_of_a_file_without_the_key(tmp_path: Path) -> None:
    hashed = replace(TABLE, key=bytes(range(32)))
    Parts(str(tmp_path / "hashed"), hashed).put([hashed.row(Outcome("4711", record()))], ["4711"])
    put(Parts(str(tmp_path / "plain"), TABLE), "4711")
    names = [path.stem for folder in ("hashed", "plain") for path in (tmp_path / folder).glob("*.parquet")]
    digest = hashlib.sha256(b"4711").hexdigest()[:32]
    assert (names[0] == digest, names[1] == digest) == (False, True)


def test_rows_are_kept_until_they_are_written(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part(Parts(url, TABLE))
    part.add("a", TABLE.row(Outcome("a", record())))
    with monkeypatch.context() as patched:
        patched.setattr(Parts, "put", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            part.write()
    part.write()
    assert files(url) == Counter("a")


def test_a_folder_that_cannot_be_written_is_refused_in_a_line() -> None:
    with pytest.raises(ConfigurationError, match="/proc: cannot be written"), Parts("/proc", TABLE).reserved():
        pass


def test_what_is_no_table_is_not_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_text("not a table")
    with pytest.raises(ConfigurationError, match=r"notes\.parquet cannot be read"):
        Parts(str(tmp_path), TABLE).settle()


def test_one_run_writes_at_a_time_and_what_a_killed_one_left_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "x.parquet.0123.partial").write_bytes(b"half")
    with Parts(str(tmp_path), TABLE).reserved():
        assert not list(tmp_path.glob("*.partial"))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(_is_refused, (str(tmp_path),))
    with Parts(str(tmp_path), TABLE).reserved():
        pass


def _is_refused(url: str) -> bool:
    try:
        with Parts(url, TABLE).reserved():
            return False
    except ConfigurationError as error:
        return "another run is writing to it" in error.message


def test_a_destination_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(str(tmp_path), TABLE)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.backfill.parts.write_private", fail)
    with pytest.raises(
        TriageError, match=r"cannot be written \(No space left on device\); the same command goes on"
    ) as caught:
        put(parts, "a")
    assert caught.value.code == "unwritable"


@given(st.sets(st.text()), st.lists(st.text()))
def test_digests_are_found_as_names_are(known: set[str], some: list[str]) -> None:
    found = contains(np.sort(digests(known)), digests(some))
    assert found.tolist() == [name in known for name in some]


def test_a_part_keeps_the_form_of_its_columns(url: str) -> None:
    parts = Parts(url, TABLE)
    parts.put([TABLE.row(Outcome("a", error=MalformedDicom("no")))], "a")
    found = parts._read(parts._names()[0]).schema
    assert (found, found.metadata) == (TABLE.schema, TABLE.schema.metadata)
    assert TABLE.schema.field("box").type == pa.list_(pa.int32())

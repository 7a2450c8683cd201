"""The measurements of `bench` work, at small sizes."""

from math import isnan
from pathlib import Path

import pytest

from bench import folder
from service.settings import SHIPPED_ARTEFACT


def test_the_rate_of_a_folder_and_of_its_floor_are_measured(tmp_path: Path) -> None:
    names = folder.write_folder(tmp_path / "files", 12, 300, 320)

    bare = folder.floor(names[:4], SHIPPED_ARTEFACT)
    folder.command(tmp_path / "files", tmp_path / "table.csv", SHIPPED_ARTEFACT, len(names))

    assert len({name.stat().st_ino for name in names}) == folder.DISTINCT
    assert 0 < bare < 1000
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 13


def test_rate_and_memory_follow_from_the_rows_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.folder.time.perf_counter", iter([10.0, 11.0, 13.0, 15.0, 20.0]).__next__)
    memory = iter([300.0, 310.0, 420.0, 0.0])  # the last was asked when the command had ended

    run = folder.follow([1, 2, 38, 39, 40], 40, memory.__next__)

    assert run == folder.Run(38 / 9, 310.0, 420.0)


def test_a_command_that_has_ended_before_it_was_looked_at_has_no_rate() -> None:
    run = folder.follow([40], 40, lambda: 0.0)

    assert all(map(isnan, (run.rate, run.start, run.end)))

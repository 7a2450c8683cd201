"""What a back-fill costs, from a page written by hand."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import backfill, cost
from bench.speed.command import PAGE
from bench.speed.films import Film
from service.inference.provider import processors
from tests.factories import dicom_bytes, noise

TABLE = """
| machine | two cores |

| files a second | 1 process | 2 processes | 2, writing and syncing |
| --- | --- | --- | --- |
| plain | 18 | 20 | 15 |

| milliseconds of one file, medians, 1 process | file | read | decode | prepare | canvas | network | write and sync |
| --- | --- | --- | --- | --- | --- | --- | --- |
| plain | 10 | 10 | 0 | 20 | 10 | 50 | 7 |

after
"""


def test_core_seconds_are_those_of_processes_that_leave_no_core_idle() -> None:
    assert cost.floors(TABLE) == {"plain": cost.Floor(2 / 20, 0.05)}


def test_a_million_files_take_their_core_hours() -> None:
    text = cost.report(TABLE, {"plain": 12.5}, argparse.Namespace(core_hour=0.5))
    # 100,000 core seconds are 27.8 core hours; half of each file is the network; 12.5 TB.
    assert "| plain | 12.5 | 0.100 | 50 % | 28 | 13.89 | 13.9 h | 26 min | 3 min |" in text
    assert "| plain | 10, 1 | 100, 10 | 250, 25 | 16, 2 | 240, 24 |" in text
    assert text.startswith("On two cores; a core costs 0.5 an hour.")


def test_the_floor_is_compared_with_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(archive: Path, destination: Path, engine: Sequence[str], decoders: int) -> float:
        assert backfill.seconds(archive, destination, engine, decoders) > 0
        return 2 + len(list(archive.iterdir())) / 10  # on a machine that needs 2 s to start, and 0.1 s for a file

    monkeypatch.setattr(cost, "seconds", timed)
    film, options = Film("plain", dicom_bytes(noise())), argparse.Namespace(seconds=1)
    row = cost.check(TABLE, [film], tmp_path, options).splitlines()[-1].strip("| ").split(" | ")
    assert float(row[1]) == processors() / 0.1
    assert (row[2], float(row[3])) == ("10.0", pytest.approx(1 / processors(), abs=0.005))


def test_the_page_of_figures_has_the_table() -> None:
    rows = cost.floors(PAGE.read_text(encoding="utf-8"))
    assert {"uncompressed", "JPEG-LS", "JPEG 2000", "HTJ2K"} == set(rows)
    assert all(0 < row.network_seconds < row.core_seconds < 10 for row in rows.values())


@pytest.mark.parametrize(("hours", "text"), [(0.5, "30 min"), (1, "1.0 h"), (47, "47.0 h"), (60, "2.5 days")])
def test_times_are_said_for_people(hours: float, text: str) -> None:
    assert cost.duration(hours) == text

"""The measurements of `bench` work, at small sizes."""

from pathlib import Path

from bench import folder
from service.settings import SHIPPED_ARTEFACT


def test_the_rate_of_a_folder_and_of_its_floor_are_measured(tmp_path: Path) -> None:
    names = folder.write_folder(tmp_path / "files", 12, 300, 320)

    bare = folder.floor(names[:4], SHIPPED_ARTEFACT)
    run = folder.command(tmp_path / "files", tmp_path / "table.csv", SHIPPED_ARTEFACT, len(names))

    assert len({name.stat().st_ino for name in names}) == folder.DISTINCT
    assert 0 < bare < 1000
    assert 0 < run.rate < 1000
    assert 100 < run.start < 2000  # MiB
    assert 100 < run.end < 2000
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 13

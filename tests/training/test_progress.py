"""A progress bar is drawn on a terminal and nowhere else."""

import re
from io import StringIO

import pytest
from rich.console import Console

from tests.conftest import ROOT
from training.progress import progress_bar


def drawn(terminal: bool, hidden: bool = False) -> str:
    stream = StringIO()
    with progress_bar(console=Console(file=stream, force_terminal=terminal), hidden=hidden) as progress:
        assert list(progress.track([1, 2, 3], description="reading")) == [1, 2, 3]
    return stream.getvalue()


def test_nothing_is_written_where_the_stream_is_not_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert "reading" in drawn(terminal=True)
    assert drawn(terminal=False) == ""
    assert drawn(terminal=True, hidden=True) == ""
    with progress_bar() as progress:
        list(progress.track([1]))
    assert capfd.readouterr() == ("", "")


def test_no_other_place_makes_a_bar() -> None:
    made = re.compile(r"\bProgress\(|import track\b|, track\b")
    sources = [path for path in (ROOT / "training").rglob("*.py") if made.search(path.read_text(encoding="utf-8"))]
    assert sources == [ROOT / "training" / "progress.py"]

import sys

import pytest

from bench import worklist


def test_every_query_of_a_list_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["worklist", "--rows", "120"])
    monkeypatch.setattr(worklist, "REPEATS", 1)

    worklist.main()

    filled, *measured = capsys.readouterr().out.splitlines()
    assert filled.startswith("120 rows filled")
    assert measured[0].startswith("first page and counts")
    assert all(line.endswith(" ms") for line in measured)

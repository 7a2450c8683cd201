"""The service and its acceptor under 2,000 hostile inputs; `make fuzz HOURS=8` sends more."""

from pathlib import Path

from bench.fuzz import Report, run
from tests.hostile.generators import names


def test_two_thousand_hostile_inputs_break_nothing(artefact: Path, tmp_path: Path) -> None:
    report = Report()

    run(names(0, 2000), artefact, tmp_path, report, slow=60)  # a busy machine may stand still for seconds

    assert not report.failures, report.table()
    assert sum(report.answers.values()) == 2000
    # They are hostile, and some come through all the same.
    assert report.answers["predictions 200"] > 100, report.table()
    assert sum(count for answer, count in report.answers.items() if " 4" in answer) > 1000, report.table()

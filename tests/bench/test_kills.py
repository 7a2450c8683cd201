"""Kills while writes fail, a few rounds; `python -m bench.kills` runs 200."""

import pytest

from bench.kills import run


def test_nothing_acknowledged_is_lost() -> None:
    journal, wrong = run(rounds=3, seed=1)

    assert wrong == []
    assert journal.acknowledged


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_in_many_kills() -> None:
    journal, wrong = run(rounds=60, seed=2)

    assert wrong == []
    assert len(journal.acknowledged) > 100

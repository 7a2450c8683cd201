"""Kills while writes fail, a few rounds; `python -m bench.kills` runs 200."""

import shutil

import pytest

from bench.kills import run
from tests.service.s3_server import weed


@pytest.fixture(autouse=True)
def compiler() -> None:
    if shutil.which("cc") is None:
        pytest.skip("a C compiler is not installed; Debian's packages gcc and libc6-dev have it")


def test_nothing_acknowledged_is_lost() -> None:
    journal, wrong = run(rounds=3, seed=1)

    assert wrong == []
    assert journal.acknowledged


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_in_many_kills() -> None:
    journal, wrong = run(rounds=60, seed=2)

    assert wrong == []
    assert len(journal.acknowledged) > 100


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_in_a_bucket() -> None:
    weed()
    journal, wrong = run(rounds=6, seed=3, bucket=True)

    assert wrong == []
    assert journal.acknowledged

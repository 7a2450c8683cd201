"""Deadlines of a transfer, by hand."""

import math
import time

import pytest

from service.http.pace import Pace


def test_a_part_may_take_the_idle_time_while_the_average_is_kept() -> None:
    pace = Pace(idle_seconds=30, bytes_per_second=100)
    assert pace.left == 30

    pace.waited = 50
    assert pace.left == -20, "nothing arrived in 50 s"

    pace.moved = 4_000
    assert pace.left == 20, "30 s, and 40 s for 4,000 bytes, less 50 s"

    pace.moved = 1_000_000
    assert pace.left == 30


def test_the_total_bounds_a_fast_transfer() -> None:
    pace = Pace(idle_seconds=30, bytes_per_second=100, total_seconds=60, moved=10**9)
    pace.waited = 45
    assert pace.left == 15


def test_only_waits_count() -> None:
    pace = Pace(idle_seconds=30, bytes_per_second=100)
    with pace.waiting():
        time.sleep(0.02)
    counted = pace.waited
    time.sleep(0.02)
    with pytest.raises(ZeroDivisionError), pace.waiting():
        raise ZeroDivisionError

    assert 0.02 <= counted <= pace.waited < math.inf

from hypothesis import given
from hypothesis import strategies as st

from service.http import rate_limit
from service.http.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_burst_tokens_return_at_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(2, 3, clock)

    assert [limit.spend("a") for _ in range(3)] == [0, 0, 0]
    assert limit.spend("a") == 0.5
    clock.now += 0.25
    assert limit.spend("a") == 0.25
    clock.now += 0.25
    assert limit.spend("a") == 0
    assert limit.spend("a") == 0.5


def test_clients_have_separate_buckets() -> None:
    limit = RateLimit(1, 1, Clock())

    assert limit.spend("a") == limit.spend("b") == 0
    assert limit.spend("a") == limit.spend("b") == 1


def test_a_long_pause_fills_one_bucket_at_most() -> None:
    clock = Clock()
    limit = RateLimit(10, 2, clock)
    limit.spend("a")
    clock.now += 3600

    assert [limit.spend("a") > 0 for _ in range(3)] == [False, False, True]


def test_a_rate_of_0_is_no_limit() -> None:
    limit = RateLimit(0, 1, Clock())

    assert not any(limit.spend("a") for _ in range(100))


def test_memory_is_bounded_and_recent_clients_are_kept() -> None:
    limit = RateLimit(0.001, 1, Clock())
    limit.spend("first")
    for number in range(rate_limit._MAX_CLIENTS):
        limit.spend(f"{number}")

    assert len(limit._full_at) == rate_limit._MAX_CLIENTS
    assert limit.spend("0") > 0


@given(st.lists(st.floats(0, 2), max_size=60), st.integers(1, 5), st.floats(0.5, 5))
def test_it_agrees_with_a_bucket_that_counts_tokens(pauses: list[float], burst: int, per_second: float) -> None:
    clock, tokens = Clock(), float(burst)
    limit = RateLimit(per_second, burst, clock)
    for pause in pauses:
        clock.now += pause
        tokens = min(burst, tokens + pause * per_second)
        wait = limit.spend("a")
        if abs(tokens - 1) < 1e-6:  # the two may round differently
            return
        assert (wait == 0) == (tokens >= 1)
        if wait:
            assert abs(wait - (1 - tokens) / per_second) < 1e-6
        else:
            tokens -= 1

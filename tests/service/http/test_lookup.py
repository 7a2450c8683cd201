"""A look-up that hangs or fails keeps nobody waiting."""

import threading
import time
from collections.abc import Iterator

import pytest

from service.http import lookup
from service.http.lookup import Lookup


@pytest.fixture(autouse=True)
def _none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(lookup, "WAIT_SECONDS", 60.0)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def test_each_value_is_new_where_none_is_kept() -> None:
    numbers = iter(range(9))
    looked_up = Lookup(lambda: next(numbers))

    assert [looked_up.value() for _ in range(3)] == [0, 1, 2]


def test_a_value_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "KEEP_SECONDS", 60.0)
    numbers = iter(range(9))
    looked_up = Lookup(lambda: next(numbers))

    assert [looked_up.value() for _ in range(3)] == [0, 0, 0]


def test_one_that_hangs_is_waited_for_once_and_called_once(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "WAIT_SECONDS", 0.2)
    calls = []
    called = threading.Event()

    def hang() -> int:
        calls.append(threading.current_thread().name)
        called.set()
        assert gate.wait(60)
        return 7

    looked_up = Lookup(hang)
    start = time.monotonic()
    assert [looked_up.value() for _ in range(1000)] == [None] * 1000
    assert time.monotonic() - start < 60  # not 200
    assert called.wait(60)
    assert calls == ["lookup"]

    gate.set()
    deadline = time.monotonic() + 30
    while looked_up.value() != 7:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("error", [OSError(5, "Tweety"), MemoryError()])
def test_one_that_fails_is_none_and_is_made_again(error: Exception) -> None:
    results = iter([error, 7])

    def look_up() -> int:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    looked_up = Lookup(look_up)

    assert [looked_up.value(), looked_up.value()] == [None, 7]

"""Whether a source is at fault, or one of its files."""

import errno
from collections.abc import Callable

import pytest

from service.backfill.attempts import FILE_GONE, FILE_UNAVAILABLE, IN_A_ROW, Attempts, NoAnswer
from service.backfill.outcome import SOURCE_UNAVAILABLE, Outcome
from service.errors import InvalidRequest, MalformedDicom, Overloaded, TriageError


def failing(error: Exception) -> Callable[[], bytes]:
    def fail() -> bytes:
        raise error

    return fail


def code_of(attempts: Attempts, error: Exception) -> str:
    with pytest.raises(TriageError) as caught:
        attempts.made(failing(error))
    return caught.value.code


def nothing() -> None:
    return None


@pytest.mark.parametrize(
    ("error", "if_it_answers", "is_final"),
    [
        (InvalidRequest("no", "unreadable"), "unreadable", True),
        (MalformedDicom("no"), "malformed_dicom", True),
        (Overloaded("no", FILE_GONE), FILE_GONE, False),
        (Overloaded("no", FILE_UNAVAILABLE), FILE_UNAVAILABLE, False),
        (NoAnswer("it answers 500"), FILE_UNAVAILABLE, False),
        (TimeoutError(), FILE_UNAVAILABLE, False),
    ],
)
def test_a_file_has_a_row_only_for_what_is_its_own_fault(error: Exception, if_it_answers: str, is_final: bool) -> None:
    attempts = Attempts(nothing, pauses=(0.0,))
    with pytest.raises(TriageError) as caught:
        attempts.made(failing(error))
    outcome = Outcome("a", error=caught.value)
    assert (caught.value.code, outcome.is_final, outcome.stops) == (if_it_answers, is_final, None)


@pytest.mark.parametrize("error", [InvalidRequest("no"), Overloaded("no", FILE_GONE), NoAnswer("no"), TimeoutError()])
def test_no_file_is_at_fault_while_the_source_does_not_answer(error: Exception) -> None:
    attempts = Attempts(failing(PermissionError("Token has expired for /home/anna")), pauses=())
    with pytest.raises(Overloaded, match="the source cannot be read: access is refused; check") as caught:
        attempts.made(failing(error))
    assert Outcome("a", error=caught.value).stops is caught.value
    assert "anna" not in caught.value.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "GET /anna failed"), "Input/output error"),
        (ValueError("/anna"), "ValueError"),
        (NoAnswer("it answers 500"), "it answers 500"),
    ],
)
def test_a_foreign_error_is_named_without_its_text(error: Exception, reason: str) -> None:
    with pytest.raises(Overloaded) as caught:
        Attempts(nothing, pauses=()).made(failing(error))
    assert caught.value.message == reason


@pytest.mark.parametrize(("failures", "answered"), [(0, True), (2, True), (3, False)])
def test_a_source_is_asked_again(failures: int, answered: bool) -> None:
    calls = iter(range(10))

    def attempt() -> bytes:
        if next(calls) < failures:
            raise TimeoutError
        return b"data"

    attempts = Attempts(nothing, pauses=(0.0, 0.0))
    if answered:
        assert attempts.made(attempt) == b"data"
    else:
        assert code_of(attempts, TimeoutError()) == FILE_UNAVAILABLE


@pytest.mark.parametrize(
    "error", [InvalidRequest("no"), Overloaded("no", FILE_GONE), Overloaded("no", FILE_UNAVAILABLE)]
)
def test_what_another_attempt_does_not_change_is_not_asked_again(error: TriageError) -> None:
    made = []

    def attempt() -> bytes:
        made.append(1)
        raise error

    with pytest.raises(TriageError):
        Attempts(nothing, pauses=(0.0, 0.0)).made(attempt)
    assert len(made) == 1


def test_a_source_of_which_no_file_can_be_read_is_at_fault() -> None:
    attempts, refused = Attempts(nothing, pauses=()), Overloaded("it answers 403", FILE_UNAVAILABLE)
    assert [code_of(attempts, refused) for _ in range(IN_A_ROW - 1)] == [FILE_UNAVAILABLE] * (IN_A_ROW - 1)
    attempts.made(lambda: b"")
    assert [code_of(attempts, refused) for _ in range(IN_A_ROW - 1)] == [FILE_UNAVAILABLE] * (IN_A_ROW - 1)
    assert code_of(attempts, MalformedDicom("it was read")) == "malformed_dicom"
    assert [code_of(attempts, refused) for _ in range(IN_A_ROW - 1)] == [FILE_UNAVAILABLE] * (IN_A_ROW - 1)
    assert code_of(attempts, refused) == SOURCE_UNAVAILABLE


def test_a_folder_of_any_size_may_vanish() -> None:
    attempts = Attempts(nothing, pauses=())
    assert {code_of(attempts, Overloaded("no", FILE_GONE)) for _ in range(2 * IN_A_ROW)} == {FILE_GONE}


@pytest.mark.parametrize("error", [InvalidRequest("it answers 404"), TimeoutError()])
def test_whatever_ends_a_listing_is_the_fault_of_the_source(error: Exception) -> None:
    with pytest.raises(Overloaded, match="cannot be listed") as caught:
        Attempts(nothing, pauses=()).listed(failing(error))
    assert caught.value.code == SOURCE_UNAVAILABLE

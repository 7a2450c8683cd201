"""What an error of a file means for its row, and for the run."""

import pytest

from service.backfill.outcome import SOURCE_UNAVAILABLE, UNDELIVERED, Outcome
from service.errors import ConfigurationError, Conflict, InferenceFailed, Overloaded, StorageFull, TriageError


@pytest.mark.parametrize(
    ("error", "is_final", "stops"),
    [
        (None, True, False),
        (Conflict("other values"), True, False),
        (Overloaded("no decoder process"), False, False),
        (InferenceFailed("no memory"), False, False),
        (Overloaded("no answer", SOURCE_UNAVAILABLE), False, True),
        (StorageFull("the disk is full"), False, True),
        (ConfigurationError("a file is gone"), False, True),
        (TriageError("the database has no table", UNDELIVERED), False, True),
    ],
)
def test_only_what_is_the_files_own_is_final(error: Exception | None, is_final: bool, stops: bool) -> None:
    outcome = Outcome("a", error=error)
    assert outcome.is_final is is_final
    assert (outcome.stops is error and error is not None) is stops

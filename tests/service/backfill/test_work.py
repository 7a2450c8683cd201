"""Which files are still to be predicted."""

from collections.abc import Iterator

import numpy as np

from service.backfill.outcome import Outcome
from service.backfill.parts import digests
from service.backfill.table import Table
from service.backfill.work import Progress, fresh
from service.errors import MalformedDicom, Overloaded
from service.telemetry import hash_uid

KEY = bytes(32)


class Numbers:
    """A source of files named by numbers."""

    def references(self) -> Iterator[str]:
        return map(str, range(2500))

    def read(self, reference: str, limit: int) -> bytes:
        raise AssertionError


def test_files_with_a_row_are_left_out_and_counted() -> None:
    progress, known = Progress(), np.sort(digests(map(str, range(0, 2500, 2))))
    names = list(fresh(Numbers(), known, Table(("Mass",), "a" * 64), progress))

    assert names == list(map(str, range(1, 2500, 2)))
    assert (progress.known, progress.done) == (1250, 1250)


def test_files_are_known_by_their_hashes_where_the_table_has_those() -> None:
    known = np.sort(digests(hash_uid(str(number), KEY) for number in range(2499)))
    assert list(fresh(Numbers(), known, Table(("Mass",), "a" * 64, KEY), Progress())) == ["2499"]


def test_a_file_is_done_or_left_for_the_next_run() -> None:
    progress = Progress()
    for error in (None, MalformedDicom("no"), Overloaded("no"), RuntimeError()):
        progress.add(Outcome("a", error=error))
    assert (progress.done, progress.left) == (2, {"overloaded": 1, "internal_error": 1})

"""Attempts at a source: they are repeated, and then the source is asked whether it or a file is at fault."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from service.backfill.outcome import SOURCE_UNAVAILABLE
from service.errors import InputError, Overloaded, TriageError

T = TypeVar("T")
PAUSES = (1.0, 4.0, 15.0)  # seconds before another attempt
IN_A_ROW = 100  # files that fail, until a source that still answers is taken to be at fault
FILE_GONE, FILE_UNAVAILABLE = "file_gone", "file_unavailable"  # codes of files that have no row yet


class NoAnswer(Exception):
    """A source is in trouble, in words; it may answer another attempt."""


class Attempts:
    """Asks a source, again if it does not answer; usable from many threads.

    An attempt says by its error what is wrong. `InputError`: the file was read, and is at fault. `InvalidRequest`: it
    never can be read. `Overloaded` with `FILE_GONE` or `FILE_UNAVAILABLE`: not now. With `SOURCE_UNAVAILABLE`: no file
    can be read. Any other error: it is tried again.

    Parameters
    ----------
    probe
        Asks the source for something small, and raises any error if it does not answer.
    pauses
        Seconds before each further attempt.
    """

    def __init__(self, probe: Callable[[], object], pauses: tuple[float, ...] = PAUSES) -> None:
        self._probe, self._pauses = probe, pauses
        self._failed = 0  # files in a row; threads need not count exactly

    def made(self, attempt: Callable[[], T]) -> T:
        """Return the result of an attempt.

        Raises
        ------
        InputError, InvalidRequest
            The file is at fault.
        Overloaded
            `file_gone`, `file_unavailable`: the file cannot be read now, but the source answers.
            `source_unavailable`: it does not, or too many files in a row cannot be read.
        """
        for pause in (*self._pauses, None):
            try:
                result = attempt()
            except InputError:
                self._failed = 0
                raise
            except TriageError as error:
                raise self._judged(error) from error
            except Exception as error:  # those of the packages for protocols have no common base class
                if pause is None:
                    raise self._judged(Overloaded(_reason(error), FILE_UNAVAILABLE)) from error
                time.sleep(pause)
            else:
                self._failed = 0
                return result
        raise AssertionError  # the last attempt returns or raises

    def listed(self, attempt: Callable[[], T]) -> T:
        """Return the result of an attempt to list files.

        Raises
        ------
        Overloaded
            `source_unavailable`
        """
        try:
            return self.made(attempt)
        except TriageError as error:
            if error.code == SOURCE_UNAVAILABLE:
                raise
            raise Overloaded(f"the source cannot be listed: {error.message}", SOURCE_UNAVAILABLE) from error

    def _judged(self, error: TriageError) -> TriageError:
        """Return the error of a file, or the one of its source."""
        if error.code == SOURCE_UNAVAILABLE:
            return error
        try:
            self._probe()
        except Exception as trouble:
            return Overloaded(f"the source cannot be read: {_reason(trouble)}", SOURCE_UNAVAILABLE)
        if error.code == FILE_UNAVAILABLE:
            self._failed += 1
            if self._failed >= IN_A_ROW:
                what = f"the source is there, but {self._failed} files in a row cannot be read: {error.message}"
                return Overloaded(what, SOURCE_UNAVAILABLE)
        return error


def _reason(error: Exception) -> str:
    """Say what is wrong without the text of a foreign error, which may name anything."""
    if isinstance(error, TriageError):
        return error.message
    if isinstance(error, NoAnswer):
        return str(error)
    if isinstance(error, PermissionError):
        return "access is refused; check permissions and credentials"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__

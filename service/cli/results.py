"""Where `triage predict` puts its results, and the record in it of what an earlier run did."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.cli.formats import Writer
from service.errors import ConfigurationError, TriageError


@dataclass(frozen=True)
class Results:
    """A function that keeps one result, and the files that have a result already.

    Attributes
    ----------
    known
        Codes of the refusal of each such file, with `formats.BETWEEN` between them; empty if it was predicted.
    """

    write: Writer
    known: Mapping[str, str] = field(default_factory=dict)


def other_results(message: str) -> ConfigurationError:
    """Return the error of an output that has results which this run must not be mixed with, or something else."""
    return ConfigurationError(f"{message}; choose another output", "other_results")


def require_same_artefact(path: Path, found: str, expected: str) -> None:
    """Refuse to mix the results of two artefacts.

    Raises
    ------
    ConfigurationError
        `other_results`
    """
    if found != expected:
        raise other_results(
            f"{path} has results of the artefact with SHA-256 {found}, and the present one is {expected}"
        )


@contextmanager
def reserved(path: Path, flags: int) -> Iterator[int]:
    """Open an output for this run alone, and yield its descriptor.

    Raises
    ------
    ConfigurationError
        It cannot be opened, or another run writes to it.
    """
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        raise ConfigurationError(f"{path}: another run is writing to it") from None
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report a disk that is full or fails in one line.

    Raises
    ------
    TriageError
        `unwritable`
    """
    try:
        yield
    except OSError as error:
        raise TriageError(
            f"{path}: cannot be written ({error.strerror}); the same command goes on from there", "unwritable"
        ) from None

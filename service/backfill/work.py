"""What a back-fill works on, and what became of it so far."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from service.backfill.archive import Archive
from service.backfill.files import Files, shown
from service.backfill.folder import Folder
from service.backfill.outcome import Outcome
from service.backfill.parts import Digests, contains, digests
from service.backfill.table import Table
from service.destinations import Destination
from service.settings import Settings

_AT_ONCE = 1000  # names that are compared with the results


class Source(Protocol):
    """Where files come from. Blocking; usable from many threads."""

    def references(self) -> Iterator[str]:
        """Yield the name of every file."""

    def read(self, reference: str, limit: int) -> bytes:
        """Return the bytes of a file, at most `limit`."""


@dataclass(frozen=True)
class Work:
    """Where files come from, where results go, and with which settings and in which form.

    Other processes, also of other machines, open source and destination themselves.

    Attributes
    ----------
    authorization
        Value of the header of that name for a DICOMweb archive, or empty.
    report_to
        Where the structured report of each predicted file is sent, if anywhere.
    stores
        Whether each predicted file and its record are stored as the service of the settings does.
    """

    settings: Settings
    source: str
    destination: str
    table: Table
    authorization: str = field(default="", repr=False)
    report_to: Destination | None = None
    stores: bool = False

    @property
    def delivers(self) -> bool:
        """Whether something is done with a predicted file before it has a row."""
        return self.stores or self.report_to is not None

    def opened(self) -> Source:
        """Open the source.

        Raises
        ------
        ConfigurationError
        """
        if is_archive(self.source):
            return Archive(self.source, self.authorization)
        if "://" in self.source and not self.source.startswith("file://"):
            return Files(self.source)
        return Folder(self.source.removeprefix("file://"))


def is_archive(source: str) -> bool:
    """Whether a source is a DICOMweb archive."""
    return source.startswith(("http://", "https://"))


def place(url: str) -> str:
    """Return one name of a folder, a prefix or an archive: an absolute path, or a URL without a password."""
    return shown(url).rstrip("/") if "://" in url else os.path.abspath(url)  # noqa: PTH100 - links are not followed


def is_below(inner: str, outer: str) -> bool:
    """Whether a folder or prefix is another one or lies in it."""
    if "://" in inner or "://" in outer:
        return f"{place(inner)}/".startswith(f"{place(outer)}/")
    return Path(inner).resolve().is_relative_to(Path(outer).resolve())


@dataclass
class Progress:
    """What became of the files.

    Attributes
    ----------
    listed
        Number of files in the source; None until it is listed.
    known
        Number of files that had a row before this run.
    done
        Number of files that have a row, those included.
    left
        Numbers of files that have none, through no fault of their own, by code; the next run tries them again.
    """

    listed: int | None = None
    known: int = 0
    done: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count the outcome of a file."""
        if outcome.is_final:
            self.done += 1
        else:
            self.left[outcome.code] += 1


def fresh(source: Source, known: Digests, table: Table, progress: Progress) -> Iterator[str]:
    """Yield the files of a source that have no row yet; count those that have one."""
    names = source.references()
    while some := list(islice(names, _AT_ONCE)):
        here = contains(known, digests(table.name(name) for name in some))
        progress.known += int(here.sum())
        progress.done += int(here.sum())
        yield from (name for name, has_row in zip(some, here, strict=True) if not has_row)

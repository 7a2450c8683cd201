"""The destination: a folder or a prefix of Parquet files, each of which is whole or absent."""

import fcntl
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray
from pyarrow import compute, parquet

from service.backfill.files import shown
from service.backfill.table import FILE, Row, Table, difference
from service.errors import ConfigurationError, TriageError
from service.private_file import write_private
from service.storage.incoming import sync_folder

ROWS = 512  # in a part: at most as many results for each process that writes are lost if it is killed
SUFFIX = ".parquet"
_LOCK = ".lock"
_READ_AHEAD = 16  # parts

Digests = NDArray[np.uint64]


class Parts:
    """The parts of a table. Blocking; parts may be written by several processes.

    A part is named by the names of files that it has rows of, so that who does the same work again replaces it.

    Parameters
    ----------
    url
        A folder, or the URL of a prefix.
    table
        The form of the table.

    Attributes
    ----------
    name
        Its URL, without a password.

    Raises
    ------
    ConfigurationError
        The destination cannot be used. `other_results`: it has other results, or something else.
    """

    def __init__(self, url: str, table: Table) -> None:
        self._table, self.name = table, shown(url)
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
            self._files.makedirs(self._root, exist_ok=True)
        except Exception as error:  # those of the protocol's package have no common base class
            raise ConfigurationError(f"{self.name}: cannot be used ({type(error).__name__})") from None
        self._folder = Path(self._root) if isinstance(self._files, LocalFileSystem) else None

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep other runs on this machine out of the destination, if it is a folder.

        Raises
        ------
        ConfigurationError
            Another run is writing to it.
        """
        if self._folder is None:
            yield
            return
        try:
            lock = (self._folder / _LOCK).open("wb")
        except OSError as error:
            raise ConfigurationError(f"{self.name}: cannot be written ({error.strerror})") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(f"{self.name}: another run is writing to it") from None
            for partial in self._folder.glob("*.partial"):  # a process that was killed left it
                partial.unlink()
            yield

    def put(self, rows: Sequence[Row], references: Iterable[str]) -> None:
        """Write a part; it is on disk, or stored, when this returns.

        Parameters
        ----------
        references
            What names the part: all files of which it may have rows.

        Raises
        ------
        TriageError
            `unwritable`
        """
        names = "\n".join(map(self._table.name, references))
        name = hashlib.sha256(names.encode()).hexdigest()[:32] + SUFFIX
        self._write(name, self._table.arrow(rows))

    def settle(self) -> Digests:
        """Drop rows of a file that has one in an earlier part already, and return the digests of all files, sorted.

        A process that was killed may have written its part, and who did its work again another one.

        Raises
        ------
        ConfigurationError
            `other_results`
        TriageError
            `unwritable`
        """
        parts = [(name, digests(table[FILE].to_pylist())) for name, table in self._tables([FILE])]
        if not parts:
            return np.zeros(0, np.uint64)
        found, first = np.unique(np.concatenate([here for _, here in parts]), return_index=True)
        order, start = np.sort(first), 0
        for name, here in parts:
            kept = contains(order, np.arange(start, start + len(here)))
            if not kept.all():
                self._write(name, self._read(name).filter(pa.array(kept)))
            start += len(here)
        return found

    def refusals(self) -> dict[str, int]:
        """Return the number of refused files by code; one may be refused for several reasons."""
        counts = Counter[str]()
        for _, table in self._tables(["code"]):
            counts.update(compute.list_flatten(table["code"]).to_pylist())
        return dict(counts)

    def _tables(self, columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
        """Yield the name of each part with some of its columns; a few are read ahead, as remote storage is slow."""
        names = self._names()
        with ThreadPoolExecutor(_READ_AHEAD) as pool:
            for start in range(0, len(names), _READ_AHEAD):
                some = names[start : start + _READ_AHEAD]
                yield from zip(some, pool.map(lambda name: self._read(name, columns), some), strict=True)

    def _names(self) -> list[str]:
        self._files.invalidate_cache()  # other processes write, too
        try:
            paths = self._files.ls(self._root, detail=False)
        except FileNotFoundError:
            if self._folder is not None:
                raise
            return []  # a bucket has no prefix that nothing is under
        return sorted(name for path in paths if (name := path.rpartition("/")[2]).endswith(SUFFIX))

    def _read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        try:
            content = pa.BufferReader(self._files.cat_file(f"{self._root}/{name}"))
            with parquet.ParquetFile(content, pre_buffer=False) as file:
                if other := difference(file.schema_arrow, self._table.schema):
                    message = f"{self.name}: {name} has results of another {other}; choose another destination"
                    raise ConfigurationError(message, "other_results")
                # Threads of Arrow may drop this content after the call, and abort a process that is about to end.
                return file.read(columns, use_threads=False)
        except (pa.ArrowException, OSError):
            message = f"{self.name}: {name} cannot be read as a Parquet table; choose another destination"
            raise ConfigurationError(message, "other_results") from None

    def _write(self, name: str, table: pa.Table) -> None:
        buffer = BytesIO()
        parquet.write_table(table, buffer)
        try:
            if self._folder is None:
                self._files.pipe_file(f"{self._root}/{name}", buffer.getvalue())
                return
            partial = self._folder / f"{name}.{os.urandom(8).hex()}.partial"
            write_private(partial, buffer.getvalue())
            partial.replace(self._folder / name)
            sync_folder(self._folder)
        except Exception as error:  # those of the protocol's package have no common base class
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise TriageError(
                f"{self.name}: cannot be written ({reason}); the same command goes on", "unwritable"
            ) from error


class Part:
    """Rows on their way to a part."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._rows: list[Row] = []
        self._references: list[str] = []

    def add(self, reference: str, row: Row) -> None:
        """Add the row of a file."""
        self._rows.append(row)
        self._references.append(reference)

    @property
    def is_complete(self) -> bool:
        """Whether there are `ROWS` of them."""
        return len(self._rows) >= ROWS

    def write(self) -> None:
        """Write the rows, if any, and begin another part. Blocking.

        Raises
        ------
        TriageError
            `unwritable`
        """
        if self._rows:
            self._parts.put(self._rows, self._references)
        self._rows, self._references = [], []  # only now: an interruption of `put` keeps them


def digests(names: Iterable[str]) -> Digests:
    """Return 64 bits of the SHA-256 of each name.

    Of ten million files, two have the same digest with a probability of 3e-6.
    """
    return np.array([int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) for name in names], np.uint64)


def contains(known: NDArray[np.int64] | Digests, some: NDArray[np.int64] | Digests) -> NDArray[np.bool_]:
    """Return which numbers are among sorted ones."""
    if not len(known):
        return np.zeros(len(some), bool)
    places = np.minimum(np.searchsorted(known, some), len(known) - 1)
    found: NDArray[np.bool_] = np.equal(known[places], some)
    return found

"""The files of a folder."""

import errno
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service.backfill.attempts import FILE_GONE, FILE_UNAVAILABLE, PAUSES, Attempts
from service.backfill.outcome import SOURCE_UNAVAILABLE
from service.errors import ConfigurationError, InvalidRequest, Overloaded, TooLarge, TriageError

_ABSENT, _DENIED = (errno.ENOENT, errno.ENOTDIR), (errno.EACCES, errno.EPERM)
_NO_NAME = (errno.ELOOP, errno.ENAMETOOLONG)

if TYPE_CHECKING:
    from os import _ScandirIterator

    Identity = tuple[int, int]  # device and inode
    Entries = _ScandirIterator[str]


class Folder:
    """Every file below a folder, named by its path below it. Links are followed. Blocking.

    Parameters
    ----------
    path
        The folder.
    pauses
        Seconds before each further attempt.

    Raises
    ------
    ConfigurationError
        It is no folder, or cannot be listed.
    """

    def __init__(self, path: str, pauses: tuple[float, ...] = PAUSES) -> None:
        self._root, self._attempts = Path(path), Attempts(self._probe, pauses)
        try:
            self._probe()
        except NotADirectoryError:
            raise ConfigurationError(f"{path}: not a folder; `triage predict` takes files") from None
        except FileNotFoundError:
            raise ConfigurationError(f"{path}: no such folder") from None
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be listed ({error.strerror})") from None

    def references(self) -> Iterator[str]:
        """Yield the name of every file as the system gives it, in no order, and of every folder that cannot be listed.

        No list is kept, as one folder may hold millions. A link to a folder that it lies in is left out.

        Raises
        ------
        Overloaded
            `source_unavailable`: the folder itself cannot be listed.
        """
        folders = [("", *self._attempts.listed(partial(_opened, self._root)))]  # each lies in the one before it
        try:
            while folders:
                folder, _, entries = folders[-1]
                try:
                    entry = next(entries, None)
                except OSError as error:
                    if not folder:
                        what = f"the source cannot be listed: {error.strerror}"
                        raise Overloaded(what, SOURCE_UNAVAILABLE) from error
                    yield folder
                    entry = None
                if entry is None:
                    folders.pop()[2].close()
                    continue
                name = f"{folder}/{entry.name}" if folder else entry.name
                if not _is_folder(entry) or (found := self._found(name)) is None:
                    yield name
                elif found[0] in (identity for _, identity, _ in folders):
                    found[1].close()
                else:
                    folders.append((name, *found))
        finally:
            for _, _, entries in folders:
                entries.close()

    def read(self, reference: str, limit: int) -> bytes:
        """Return the bytes of a file.

        Raises
        ------
        InvalidRequest
            `unreadable`: it is a link in a circle. `not_a_regular_file`: it is a pipe or a device.
        TooLarge
            It has more than `limit` bytes.
        Overloaded
            `file_gone`, `file_unavailable`: it cannot be read now: it is a link to nothing, access is denied, or it
            is a folder that could not be listed.
            `source_unavailable`: the folder itself cannot be listed any more.
        """
        return self._attempts.made(partial(_read, self._path(reference), limit))

    def _found(self, folder: str) -> "tuple[Identity, Entries] | None":
        """Return identity and entries of a folder, or None if it cannot be listed, of which reading it says why."""
        try:
            return self._attempts.made(partial(_opened, self._path(folder)))
        except TriageError as error:
            if error.code == SOURCE_UNAVAILABLE:
                raise
            return None

    def _path(self, reference: str) -> Path:
        return self._root / reference

    def _probe(self) -> None:
        with os.scandir(self._root) as entries:
            next(entries, None)


def _opened(path: Path) -> "tuple[Identity, Entries]":
    try:
        found = path.stat()
        return (found.st_dev, found.st_ino), os.scandir(path)
    except OSError as error:
        raise _explained(error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # reading it says why
        return False


def _read(path: Path, limit: int) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            raise Overloaded("a folder could not be listed", FILE_UNAVAILABLE)
        if not stat.S_ISREG(mode):
            raise InvalidRequest("expected a file, got a pipe, a device or a socket", "not_a_regular_file")
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # if a pipe has taken its place
            data = file.read(limit + 1)
    except OSError as error:
        raise _explained(error) from error
    if len(data) > limit:
        raise TooLarge(f"expected a file of at most {limit} bytes", "file_too_large")
    return data


def _explained(error: OSError) -> Exception:
    """Return what the error says of the file, or the error itself if another attempt makes sense."""
    if error.errno in _ABSENT:  # what a link leads to may be a disk that is not mounted
        return Overloaded("the file, or what the link leads to, is not there", FILE_GONE)
    if error.errno in _DENIED:  # as all files are to the wrong user
        return Overloaded("access is denied", FILE_UNAVAILABLE)
    if error.errno in _NO_NAME:
        return InvalidRequest(error.strerror or "unreadable", "unreadable")
    return error

"""The DICOM files as they were received, under random names."""

import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Container, Iterator
from pathlib import Path

from service.errors import ConfigurationError, NotFound, StorageFull
from service.storage.private_file import write_private

_NAME = re.compile(r"[0-9a-f]{32}\.dcm")
_PARTIAL = re.compile(r"[0-9a-f]{32}\.dcm\.partial")


class Instances:
    """A folder of DICOM files, in sub-folders by the first two digits of their random names.

    `put` the file first, then save the record that names it: a crash in between leaves a file without a record, which
    `sweep` deletes. Blocking; safe from many threads and processes.

    Parameters
    ----------
    folder
        Folder of the files; `open` creates it, readable by its owner only.
    min_free_bytes
        Free disk space below which `check_room` refuses.
    """

    def __init__(self, folder: Path, min_free_bytes: int = 0) -> None:
        self.folder = folder
        self._min_free_bytes = min_free_bytes

    def open(self) -> None:
        """Create the folder and its parents, and check that it is writable.

        Raises
        ------
        ConfigurationError
        """
        try:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # `mode` does not apply to parents
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.delete(self.put(b""))
        except (OSError, StorageFull) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigurationError(f"the storage folder {self.folder} is not writable: {reason}") from None

    def check_room(self) -> None:
        """Check that enough disk space is free, before a file is accepted.

        Raises
        ------
        StorageFull
            `low_disk`: less than `min_free_bytes` is free.
        """
        if shutil.disk_usage(self.folder).free < self._min_free_bytes:  # space reserved for root does not count as free
            raise StorageFull("too little free disk space (TRIAGE_STORAGE__MIN_FREE_BYTES)", "low_disk")

    def put(self, data: bytes) -> str:
        """Write a file and return its name; the file is on disk when this returns.

        Raises
        ------
        StorageFull
            The file could not be written, and nothing was kept.
        """
        name = f"{secrets.token_hex(16)}.dcm"
        path = self._path(name)
        partial = path.with_name(f"{name}.partial")
        try:
            self._sub_folder(path.parent)
            write_private(partial, data)
            partial.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            _discard(partial, path)
            raise StorageFull(f"the instance could not be written: {error.strerror}") from error
        return name

    def get(self, name: str) -> bytes:
        """Read a file.

        Raises
        ------
        NotFound
            There is no such file, or the name is malformed.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise NotFound("no such instance") from None

    def delete(self, name: str) -> None:
        """Delete a file, if it exists.

        Raises
        ------
        NotFound
            The name is malformed.
        """
        self._path(name).unlink(missing_ok=True)

    def sweep(self, known: Container[str], older_than: float) -> int:
        """Delete files without a record, and partially written ones.

        Parameters
        ----------
        known
            Names of the files with a record: `Records.files()`.
        older_than
            Minimum age of a deleted file, seconds; longer than another replica takes from `put` to saving the record.

        Returns
        -------
        int
            Number of deleted files.
        """
        before = time.time() - older_than
        orphans = [path for path in self._files() if path.name not in known and _modified(path) < before]
        for path in orphans:
            path.unlink(missing_ok=True)
        return len(orphans)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound("no such instance")
        return self.folder / name[:2] / name

    def _sub_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self.folder)

    def _files(self) -> Iterator[Path]:
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if _NAME.fullmatch(path.name) or _PARTIAL.fullmatch(path.name):
                yield path


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # deleted by another replica
        return math.inf


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to disk, so that a new one survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:  # nor can a file be deleted in a folder that is not writable
            continue

"""The DICOM files as they were sent, under names of our own."""

import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Container, Iterator
from pathlib import Path

from service.errors import ConfigurationError, NotFound, StorageFull

_NAME = re.compile(r"[0-9a-f]{32}\.dcm")
_PARTIAL = re.compile(r"[0-9a-f]{32}\.dcm\.partial")


class Instances:
    """A folder of DICOM files, in sub-folders by the first two digits of their random names.

    The order that survives a crash: `put` the file, then save the record that names it. What a crash leaves behind is a
    file without a record, which `sweep` removes. Blocking; safe from many threads and processes.

    Parameters
    ----------
    folder
        Made by `open` where it is missing, readable by its owner only.
    min_free_bytes
        Room in its file system that `check_room` wants to stay free.
    """

    def __init__(self, folder: Path, min_free_bytes: int = 0) -> None:
        self.folder = folder
        self._min_free_bytes = min_free_bytes

    def open(self) -> None:
        """Make the folder and the one it lies in, and prove that it can be written.

        Raises
        ------
        ConfigurationError
        """
        try:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # `parents` alone takes no mode
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.delete(self.put(b""))
        except (OSError, StorageFull) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigurationError(f"the storage folder {self.folder} is not writable: {why}") from None

    def check_room(self) -> None:
        """Refuse before anything is accepted that could not be kept.

        Raises
        ------
        StorageFull
            `low_disk`: less is free than should be.
        """
        if shutil.disk_usage(self.folder).free < self._min_free_bytes:  # what is reserved for root is not free
            raise StorageFull("the disk of the instances has less room than is to stay free", "low_disk")

    def put(self, data: bytes) -> str:
        """Write a file; when this returns it is on disk, under the name given back.

        Raises
        ------
        StorageFull
            Nothing was kept.
        """
        name = f"{secrets.token_hex(16)}.dcm"
        path = self._path(name)
        partial = path.with_name(f"{name}.partial")
        try:
            self._sub_folder(path.parent)
            _write(partial, data)
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
            Also for anything that is no name of ours.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise NotFound("no such instance") from None

    def delete(self, name: str) -> None:
        """Remove a file; one that is gone already is no error.

        Raises
        ------
        NotFound
            For anything that is no name of ours.
        """
        self._path(name).unlink(missing_ok=True)

    def sweep(self, known: Container[str], older_than: float) -> int:
        """Remove files without a record, and half-written ones, that are older than so many seconds.

        Parameters
        ----------
        known
            `Records.files()`. Give time enough for a file whose record another replica is about to save.

        Returns
        -------
        int
            How many were removed.
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
    except FileNotFoundError:  # another replica swept it
        return math.inf


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:  # a folder that cannot be written cannot be tidied
            continue

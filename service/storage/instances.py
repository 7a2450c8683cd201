"""The DICOM files as they were received, under random names."""

import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from service.errors import ConfigurationError, NotFound, StorageFull
from service.storage.incoming import Incoming, sync_folder, unwritable
from service.storage.orphans import Known, without_record
from service.storage.owner import claim_folder
from service.storage.same_file import SameFile

_NAME = re.compile(r"[0-9a-f]{32}\.dcm")
_PARTIAL = re.compile(r"[0-9a-f]{32}\.dcm\.partial")


class Instances:
    """A folder of DICOM files, in sub-folders by the first two digits of their random names. An `InstanceStore`.

    Keep the file first, then save the record that names it: a crash in between leaves a file without a record, which
    `sweep` deletes. Blocking; safe from many threads and processes.

    Parameters
    ----------
    folder
        Folder of the files; `open` creates it, readable by its owner only.
    min_free_bytes
        Free disk space below which `check_room` refuses.
    """

    threads: Executor | None = None  # a disk answers soon
    swept_every = timedelta(hours=1)

    def __init__(self, folder: Path, min_free_bytes: int = 0) -> None:
        self.folder = folder
        self._min_free_bytes = min_free_bytes
        self._present: SameFile | None = None

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
            self._present = SameFile(self.folder, "the folder of instances")
        except (OSError, StorageFull) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigurationError(f"the storage folder {self.folder} is not writable: {reason}") from None

    def claim(self, database: str) -> None:
        """Check that the folder belongs to the database with an id, or to none yet; see `claim_folder`.

        Raises
        ------
        ConfigurationError
        """
        claim_folder(self.folder, database)

    def check(self) -> str:
        """Check that `open` could create the folder, write nothing, and say so in words.

        Raises
        ------
        ConfigurationError
        """
        above = self.folder.parent.resolve()
        nearest = next(path for path in (above, *above.parents) if path.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            raise ConfigurationError(f"{above} is not a writable folder")
        return f"{above} is writable"

    def check_present(self) -> None:
        """Check that the folder is the one that was opened.

        Raises
        ------
        Overloaded
            `storage_unavailable`
        """
        if self._present is not None:
            self._present.check()

    def check_room(self) -> None:
        """Check that the folder is there and enough disk space is free, before a file is accepted.

        Raises
        ------
        Overloaded
            As `check_present`.
        StorageFull
            `low_disk`: less than `min_free_bytes` is free.
        """
        self.check_present()
        if shutil.disk_usage(self.folder).free < self._min_free_bytes:  # space reserved for root does not count as free
            raise StorageFull("too little free disk space (TRIAGE_STORAGE__MIN_FREE_BYTES)", "low_disk")

    def receive(self) -> Incoming:
        """Start a file under a random name; the caller closes it.

        Raises
        ------
        StorageFull
        """
        return Incoming(self.new_path())

    def new_path(self) -> Path:
        """Return a path for a file under a random name, in a sub-folder that exists.

        Raises
        ------
        StorageFull
        """
        path = self.path(new_name())
        try:
            self._sub_folder(path.parent)
        except OSError as error:
            raise unwritable(error) from error
        return path

    def put(self, data: bytes) -> str:
        """Write a file and return its name; the file is on disk when this returns.

        Raises
        ------
        StorageFull
            The file could not be written, and nothing was kept.
        """
        with closing(self.receive()) as incoming:
            incoming.write([data])
            incoming.sync()
            incoming.keep()
        return incoming.name

    def path(self, name: str) -> Path:
        """Return where a file is, if it exists.

        Raises
        ------
        NotFound
            The name is malformed.
        """
        return self.folder / place(name)

    def get(self, name: str) -> bytes:
        """Read a file.

        Raises
        ------
        NotFound
            There is no such file, or the name is malformed.
        """
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            raise NotFound("no such instance") from None

    def delete(self, name: str) -> None:
        """Delete a file, if it exists.

        Raises
        ------
        NotFound
            The name is malformed.
        """
        self.path(name).unlink(missing_ok=True)

    def sweep(self, known: Known, older_than: float) -> int:
        """Delete files without a record, and partially written ones.

        Parameters
        ----------
        known
            Returns those of the names that have a record: `Records.known_files`.
        older_than
            Minimum age of a deleted file, seconds; longer than another replica takes to receive a file and
            save its record.

        Returns
        -------
        int
            Number of deleted files.
        """
        count, before = 0, time.time() - older_than
        for path in without_record(((path.name, path) for path in self._files()), known):
            if _modified(path) < before:
                path.unlink(missing_ok=True)
                count += 1
        return count

    def sweep_spool(self, older_than: float) -> int:
        """Return 0: files arrive in the folder itself."""
        return 0

    def close(self) -> None:
        """Do nothing: a folder needs no closing."""

    def _sub_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder)

    def _files(self) -> Iterator[Path]:
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if _NAME.fullmatch(path.name) or _PARTIAL.fullmatch(path.name):
                yield path


def new_name() -> str:
    """Return a random name for a file."""
    return f"{secrets.token_hex(16)}.dcm"


def place(name: str) -> str:
    """Return where a file of a name is, below its folder or prefix.

    Raises
    ------
    NotFound
        The name is malformed.
    """
    if not _NAME.fullmatch(name):
        raise NotFound("no such instance")
    return f"{name[:2]}/{name}"


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # deleted by another replica
        return math.inf

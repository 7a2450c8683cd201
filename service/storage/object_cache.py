"""Objects that were made from records, kept on disk so that they need not be made again."""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from service.private_file import create_private
from service.storage.record import check_id
from service.telemetry import describe, log

_ID = re.compile(r"[0-9a-f]{32}")
_DIGEST_BYTES = hashlib.sha256().digest_size
_KEPT = 0.75  # share of the limit that is left after old files were deleted, so that not every new one deletes


class ObjectCache:
    """A folder with a sub-folder for each record. Blocking; safe from many threads and processes.

    A file begins with the SHA-256 of the rest, and is written beside its place and moved there: one that a crash or the
    disk damaged is not returned, so that nobody waits for the disk. Its errors are logged, and nothing is kept.

    Parameters
    ----------
    folder
        Folder of the files, created with the first one, readable by its owner only.
    max_bytes
        Total size above which the files that were not read for the longest time are deleted; 0: nothing is kept.
    min_free_bytes
        Free disk space below which nothing more is kept.
    """

    def __init__(self, folder: Path, max_bytes: int, min_free_bytes: int = 0) -> None:
        self._folder, self._max_bytes, self._min_free_bytes = folder, max_bytes, min_free_bytes
        self._size: int | None = None  # of all files, as far as this process knows; unknown before the first `put`
        self._lock = Lock()

    def get(self, id: str, name: str) -> bytes | None:
        """Return an object of a record; None if it is not kept.

        Parameters
        ----------
        name
            Kind of the object and version of its maker; it becomes the name of a file.
        """
        path = self._path(id, name)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        return content if hashlib.sha256(content).digest() == digest else None

    def put(self, id: str, name: str, content: bytes, exists: Callable[[str], bool]) -> None:
        """Keep an object of a record, unless it is too large.

        Parameters
        ----------
        exists
            Whether there is a record with an id. It is asked after writing: the record may have been deleted since, and
            nothing that is derived from it may stay.
        """
        if len(content) > self._max_bytes * _KEPT:
            return
        path = self._path(id, name)
        partial = path.with_name(f"{secrets.token_hex(8)}.partial")
        try:
            for folder in (self._folder, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            if shutil.disk_usage(path.parent).free - len(content) < self._min_free_bytes:
                return
            with create_private(partial) as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
            partial.replace(path)
        except OSError as error:
            log().warning("an object could not be kept", **describe(error))
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        if not exists(id):
            self.delete(id)
        self._make_room(len(content))

    def delete(self, id: str) -> None:
        """Delete the objects of a record, if there are any."""
        check_id(id)
        shutil.rmtree(self._folder / id, ignore_errors=True)

    def sweep(self, known: Callable[[list[str]], Iterable[str]]) -> int:
        """Delete the objects of records that do not exist, which a crash may leave, and return the number of records.

        Parameters
        ----------
        known
            Returns those of the ids that have a record.
        """
        ids = [path.name for path in self._folder.glob("*") if _ID.fullmatch(path.name)]
        orphans = set(ids) - set(known(ids))
        for id in orphans:
            self.delete(id)
        return len(orphans)

    def _path(self, id: str, name: str) -> Path:
        check_id(id)
        return self._folder / id / name

    def _make_room(self, added: int) -> None:
        with self._lock:
            if self._size is not None and self._size + added <= self._max_bytes:
                self._size += added
                return
            files = sorted((status.st_mtime_ns, status.st_size, path) for path, status in self._files())
            self._size = sum(size for _, size, _ in files)
            if self._size <= self._max_bytes:
                return
            for _, size, path in files:
                if self._size <= self._max_bytes * _KEPT:
                    break
                path.unlink(missing_ok=True)
                self._size -= size

    def _files(self) -> Iterable[tuple[Path, os.stat_result]]:
        for path in self._folder.glob("*/*"):
            try:
                yield path, path.stat()
            except FileNotFoundError:  # deleted by another process
                continue

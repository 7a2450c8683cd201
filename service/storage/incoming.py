"""A DICOM file that is arriving: it is written to its place in the folder of instances as its bytes come in."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

from service.errors import StorageFull


class Incoming:
    """A file under a partial name, until `keep` gives it its own. Blocking; used by one request.

    A request that is cancelled closes it while a thread may still be writing: `close` waits for that.

    Parameters
    ----------
    path
        Where `keep` puts it; it is written beside that place.

    Attributes
    ----------
    partial
        Where it is until it is kept: another process may read it there once all is written.
    size
        Bytes so far.

    Raises
    ------
    StorageFull
        It cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.partial = path.with_name(f"{path.name}.partial")
        self.size = 0
        self._began = time.clock_gettime(time.CLOCK_BOOTTIME)  # it goes on while the machine is suspended
        self._lock = Lock()
        try:
            self._descriptor = os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise unwritable(error) from error

    @property
    def name(self) -> str:
        """The name that it will have."""
        return self._path.name

    @property
    def age(self) -> float:
        """Seconds since it began to arrive, also those in which the process or the machine was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self._began

    def write(self, chunks: Iterable[bytes | bytearray]) -> None:
        """Append bytes.

        Raises
        ------
        StorageFull
        """
        try:
            for chunk in chunks:
                with self._lock:
                    self._append(chunk)
        except OSError as error:
            raise unwritable(error) from error

    def sync(self) -> None:
        """Write the bytes to disk; it may run while another process reads them.

        Raises
        ------
        StorageFull
        """
        try:
            # A descriptor of its own: the request may end, and close the other, while the disk is still writing.
            descriptor = os.open(self.partial, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:  # refused meanwhile
            return
        except OSError as error:
            raise unwritable(error) from error

    def keep(self) -> None:
        """Give the file its name; file and name are on disk when this returns, if `sync` has returned before.

        Raises
        ------
        StorageFull
        """
        try:
            self.partial.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise unwritable(error) from error

    def close(self) -> None:
        """Delete the file unless it was kept."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        try:
            self.partial.unlink(missing_ok=True)
        except OSError:  # nor can a file be deleted in a folder that is not writable; `Instances.sweep` will
            return

    def _append(self, chunk: bytes | bytearray) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size += len(chunk)


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to disk, so that a new one survives a power failure.

    Raises
    ------
    OSError
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(error: OSError) -> StorageFull:
    """Return the service's error for one of the disk."""
    return StorageFull(f"the instance could not be written: {error.strerror}")

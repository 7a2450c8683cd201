"""The files of a folder or of S3-compatible storage, by fsspec."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from service.backfill.outcome import SOURCE_UNAVAILABLE
from service.errors import ConfigurationError, InvalidRequest, Overloaded, TooLarge

PAUSES = (1.0, 4.0, 15.0)  # seconds before another attempt at storage that does not answer
_OF_THE_FILE = (FileNotFoundError, PermissionError, IsADirectoryError)


class Files:
    """Every file below a folder or a prefix. A file is named by its path below it. Blocking.

    Parameters
    ----------
    url
        A path, `s3://bucket/prefix`, or any other URL for which fsspec has a package.
    pauses
        Seconds before each further attempt.

    Raises
    ------
    ConfigurationError
        fsspec does not know the protocol, or there is nothing at the URL.
    """

    def __init__(self, url: str, pauses: tuple[float, ...] = PAUSES) -> None:
        self._pauses = pauses
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
            present = self._files.exists(self._root)
        except Exception as error:  # those of the protocol's package have no common base class
            raise ConfigurationError(f"{shown(url)}: cannot be used ({type(error).__name__})") from None
        if not present:
            raise ConfigurationError(f"{shown(url)}: no such file or folder")
        self._is_local = isinstance(self._files, LocalFileSystem)

    def references(self) -> Iterator[str]:
        """Yield the name of every file, folder by folder.

        Raises
        ------
        Overloaded
            `source_unavailable`: a folder cannot be listed.
        """
        try:
            for folder, _, names in self._files.walk(self._root, on_error="raise"):
                below = folder.removeprefix(self._root).strip("/")
                yield from (f"{below}/{name}" if below else name for name in sorted(names))
        except OSError as error:
            raise _unavailable("a folder of the source cannot be listed", error) from error

    def read(self, reference: str, limit: int) -> bytes:
        """Return the bytes of a file.

        Raises
        ------
        InvalidRequest
            `unreadable`: this file cannot be read.
        TooLarge
            It has more than `limit` bytes.
        Overloaded
            `source_unavailable`: the storage did not answer, however often it was asked.
        """
        path = f"{self._root.rstrip('/')}/{reference}"
        for pause in (*self._pauses, None):
            try:
                data: bytes = self._files.cat_file(path, start=0, end=limit + 1)
                break
            except _OF_THE_FILE as error:
                raise InvalidRequest(error.strerror or type(error).__name__, "unreadable") from None
            except Exception as error:  # those of the protocol's package have no common base class
                if self._is_local:
                    raise InvalidRequest(getattr(error, "strerror", None) or "unreadable", "unreadable") from None
                if pause is None:
                    raise _unavailable("the source does not answer", error) from error
                time.sleep(pause)
        if len(data) > limit:
            raise TooLarge(f"expected a file of at most {limit} bytes", "file_too_large")
        return data


def shown(url: str) -> str:
    """Return a URL without a user and a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def _unavailable(message: str, error: Exception) -> Overloaded:
    return Overloaded(f"{message} ({type(error).__name__})", SOURCE_UNAVAILABLE)

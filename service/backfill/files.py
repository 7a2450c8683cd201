"""The files of S3-compatible storage, or of any other that fsspec knows."""

import errno
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import fsspec

from service.backfill.attempts import FILE_GONE, FILE_UNAVAILABLE, PAUSES, Attempts
from service.errors import ConfigurationError, InvalidRequest, Overloaded, TooLarge


class Files:
    """Every file below a prefix, named by its path below it. Blocking.

    Parameters
    ----------
    url
        `s3://bucket/prefix`, or any other URL for which fsspec has a package.
    pauses
        Seconds before each further attempt.

    Raises
    ------
    ConfigurationError
        fsspec does not know the protocol, there is nothing at the URL, or it is one file.
    """

    def __init__(self, url: str, pauses: tuple[float, ...] = PAUSES) -> None:
        self._attempts = Attempts(self._probe, pauses)
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
            kind = self._probe()["type"]
        except FileNotFoundError:
            raise ConfigurationError(f"{shown(url)}: no such folder or prefix") from None
        except Exception as error:  # those of the protocol's package have no common base class
            raise ConfigurationError(f"{shown(url)}: cannot be used ({type(error).__name__})") from None
        if kind != "directory":
            raise ConfigurationError(f"{shown(url)}: not a folder or a prefix; `triage predict` takes files")

    def references(self) -> Iterator[str]:
        """Yield the name of every file, in no order.

        Raises
        ------
        Overloaded
            `source_unavailable`: files cannot be listed.
        """
        protocols = self._files.protocol
        return self._keys() if "s3" in ((protocols,) if isinstance(protocols, str) else protocols) else self._walked()

    def read(self, reference: str, limit: int) -> bytes:
        """Return the bytes of a file.

        Raises
        ------
        InvalidRequest
            `unreadable`: it is a folder.
        TooLarge
            It has more than `limit` bytes.
        Overloaded
            `file_gone`, `file_unavailable`: it cannot be read now. `source_unavailable`: no file can.
        """
        return self._attempts.made(partial(self._read, f"{self._root.rstrip('/')}/{reference}", limit))

    def _probe(self) -> dict[str, str]:
        self._files.invalidate_cache()
        found: dict[str, str] = self._files.info(self._root)
        return found

    def _keys(self) -> Iterator[str]:
        """Yield the keys of a bucket page by page; s3fs itself would first make a list of all, and keep it."""
        bucket, prefix, _ = self._files.split_path(self._root)
        above, more = f"{prefix}/" if prefix else "", dict[str, str]()
        while True:
            options = {"Bucket": bucket, "Prefix": above} | more
            page = self._attempts.listed(partial(self._files.call_s3, "list_objects_v2", self._files.req_kw, **options))
            for found in page.get("Contents", ()):
                if found["Size"] or not found["Key"].endswith("/"):  # the mark of a folder, which consoles make
                    yield found["Key"].removeprefix(above)
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _walked(self) -> Iterator[str]:
        """Yield the names of files folder by folder; the `walk` of fsspec leaves folders out that cannot be listed."""
        folders = [self._root]
        while folders:
            folder = folders.pop()
            for found in self._attempts.listed(partial(self._files.ls, folder, detail=True)):
                if found["type"] != "directory":
                    yield found["name"].removeprefix(self._root).strip("/")
                elif found["name"].rstrip("/") != folder.rstrip("/"):
                    folders.append(found["name"])
            self._files.invalidate_cache()

    def _read(self, path: str, limit: int) -> bytes:
        try:
            data: bytes = self._files.cat_file(path, start=0, end=limit + 1)
        except FileNotFoundError:
            raise Overloaded("the file is no longer there", FILE_GONE) from None
        except PermissionError:
            raise Overloaded("access to the file is refused", FILE_UNAVAILABLE) from None
        except IsADirectoryError:
            raise InvalidRequest("expected a file, got a folder", "unreadable") from None
        except OSError as error:
            if error.errno != errno.EINVAL or self._files.info(path)["size"]:
                raise
            return b""  # S3 has no range of an empty object
        if len(data) > limit:
            raise TooLarge(f"expected a file of at most {limit} bytes", "file_too_large")
        return data


def shown(url: str) -> str:
    """Return a URL without a user and a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url

"""A file or folder that must stay the same as long as the service runs: what is written to a deleted one is lost."""

from pathlib import Path

from service.errors import Overloaded

CODE = "storage_unavailable"


class SameFile:
    """Notices that a file or folder is gone, or that another is in its place, as after a volume was unmounted.

    Parameters
    ----------
    path
        Path of what exists now.
    what
        Its name in messages.

    Raises
    ------
    OSError
        It does not exist.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        self._identity = _identity(path)

    def check(self) -> None:
        """Check that it is still there.

        Raises
        ------
        Overloaded
            `storage_unavailable`
        """
        try:
            same = _identity(self._path) == self._identity
        except OSError:
            same = False
        if not same:
            what_to_do = "put it back, or restart the service to use what is there"
            raise Overloaded(f"{self._what} is gone or has been replaced; {what_to_do}", CODE)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino

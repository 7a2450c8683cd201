"""Files that only their owner can read."""

import os
from pathlib import Path
from typing import BinaryIO


def create_private(path: Path) -> BinaryIO:
    """Create a file with mode 600, to be written and closed; it must not exist.

    Raises
    ------
    OSError
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write_private(path: Path, data: bytes) -> None:
    """Create a file with mode 600 and write it to disk; it must not exist.

    Raises
    ------
    OSError
    """
    with create_private(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

"""Files that only their owner can read."""

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Create a file with mode 600 and write it to disk; it must not exist.

    Raises
    ------
    OSError
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)

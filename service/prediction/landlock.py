"""Landlock: a process gives up the file system, TCP and signals to others for itself, landlock(7).

The kernel asks no privilege for it, and no container setting.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# The same on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH

# linux/landlock.h: rights on files that each version of the interface (ABI) can take away
_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_TCP = {4: 0b11}  # to listen, and to connect
_SCOPES = {6: 0b11}  # to abstract Unix sockets and to signals of processes outside


def confine(readable: Iterable[Path]) -> int:
    """Take from this thread, and all that it will start, everything that Landlock can, but reading some paths.

    Files that are open stay so.

    Parameters
    ----------
    readable
        Files, and folders with all below; those that do not exist are skipped.

    Returns
    -------
    Version of the kernel's interface (ABI); a higher one takes more.

    Raises
    ------
    OSError
        The kernel has no Landlock.
    """
    version = _call(_CREATE_RULESET, None, 0, _VERSION)
    files, tcp, scopes = (_rights(table, version) for table in (_FILES, _TCP, _SCOPES))
    attributes = struct.pack("=QQQ", files, tcp, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            with suppress(FileNotFoundError, NotADirectoryError):
                _allow(rules, path)
        _call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return version


def _rights(table: dict[int, int], version: int) -> int:
    return sum(rights for since, rights in table.items() if since <= version)


def _allow(rules: int, path: Path) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | _READ_FOLDER if path.is_dir() else _READ_FILE
        _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes | None) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    values = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    result: int = library.syscall(ctypes.c_long(number), *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result

"""What a decoder process may do: read its own libraries and the files that it is handed, compute, and answer.

Native decoders read bytes that nobody trusts. If one of them is taken over, the kernel must still refuse it the other
files, the network, and other processes. It enters the cage before it imports anything that parses a file, or starts a
thread.
"""

import ctypes
import logging
import os
import resource
import signal
import socket
import struct
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ConfigurationError
from service.prediction import landlock, seccomp
from service.prediction.freed_memory import keep_freed_memory

if TYPE_CHECKING:  # it imports pydantic, which no decoder process needs
    from service.cage_settings import Mode

# Packages beside which everything lies that a decoder process imports, some of it late; and this one
_PACKAGES = ("numpy", "imagecodecs", "pydicom", "rle", "PIL", "highdicom")
# Decoders that pydicom would import where they are installed, and this service never calls; some bundle old libraries
_OTHER_DECODERS = ("gdcm", "pylibjpeg", "openjpeg", "libjpeg", "jpeg_ls")
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")

# linux/prctl.h, linux/capability.h
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_CAPABILITIES = 64
_CAPABILITY_VERSION = 0x20080522


@dataclass(frozen=True)
class Cage:
    """What confines a decoder process.

    Attributes
    ----------
    memory_bytes
        Address space, libraries included.
    mode
        Whether the kernel confines it: `auto` as far as it can, `required` or not at all, `off` never.
    readable
        Folders and files that it may read beside what it is handed.
    """

    memory_bytes: int
    mode: "Mode"
    readable: tuple[Path, ...]


@dataclass(frozen=True)
class Report:
    """What the cage of a process consists of, and what it lacks, each in words for an operator."""

    parts: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


_report = Report(missing=("not entered",))


def libraries() -> tuple[Path, ...]:
    """Return where the code is that a decoder process imports: Python, its packages, shared libraries, this service.

    A folder that was put on the module search path for another reason, such as the working folder, is not among them.
    """
    specs = [find_spec(name) for name in _PACKAGES]
    packages = {Path(spec.origin).parents[1] for spec in specs if spec is not None and spec.origin is not None}
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    loader = map(Path, filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")))
    shared = {path.parent for path in standard}  # of libpython
    service = Path(__file__).parents[1]
    return tuple(sorted({*packages, *standard, *shared, *map(Path, _SYSTEM), *loader, service}))


def enter(cage: Cage) -> None:
    """Confine this process, for good.

    Raises
    ------
    ConfigurationError
        The cage is required, and the kernel lacks a part of it.
    """
    global _report  # noqa: PLW0603 (a process enters once)
    _limit(cage.memory_bytes)
    for name in _OTHER_DECODERS:
        sys.modules[name] = None  # type: ignore[assignment]  # to import it is then an ImportError
    if cage.mode == "off":
        _report = Report(missing=("TRIAGE_DECODERS__CAGE is off",))
        return
    threads = len(list(Path("/proc/self/task").iterdir()))
    parts, missing = [], [] if threads == 1 else ["threads from before, which Landlock and seccomp leave out"]
    for confine in (_without_privileges, partial(_landlock, cage.readable), _seccomp):
        try:
            parts.append(confine())
        except OSError as error:
            missing.append(error.strerror or type(error).__name__)
    _report = Report(tuple(parts), tuple(missing))
    if cage.mode == "required" and missing:
        raise ConfigurationError(
            f"TRIAGE_DECODERS__CAGE is required, but the cage of the decoder processes lacks: {'; '.join(missing)}"
        )


def report() -> Report:
    """Return what the cage of this process consists of."""
    return _report


def _limit(memory_bytes: int) -> None:
    """Limit memory, let SIGTERM end the process at once, and keep data sets out of logs and core dumps.

    Standard output and error are discarded, because decoder libraries write to them.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    keep_freed_memory()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler in Python would wait for the C library to return
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with Path(os.devnull).open("wb") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)


def _without_privileges() -> str:
    """Give up every capability, and the way to new ones through a program that has some."""
    library = ctypes.CDLL(None, use_errno=True)
    for capability in range(_CAPABILITIES):  # without CAP_SETPCAP this fails, and there is nothing to drop
        library.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability))
    zero = ctypes.c_ulong(0)
    library.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), zero, zero, zero)
    none = library.capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)) == 0
    sealed = library.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) == 0
    if not (none and sealed):
        raise OSError(ctypes.get_errno(), "capabilities: cannot be given up")
    return "no capabilities"


def _landlock(readable: tuple[Path, ...]) -> str:
    version = landlock.confine(readable)
    _check_refused(lambda: os.close(os.open("/", os.O_RDONLY)), "Landlock: a file can be opened in spite of it")
    return f"Landlock (ABI {version})"


def _seccomp() -> str:
    seccomp.confine()
    _check_refused(lambda: socket.socket().close(), "seccomp: a socket can be made in spite of it")
    return "seccomp"


def _check_refused(attempt: Callable[[], None], failure: str) -> None:
    """Try what is now forbidden: a kernel in a sandbox may accept a restriction that it does not enforce."""
    try:
        attempt()
    except OSError:
        return
    raise OSError(0, failure)

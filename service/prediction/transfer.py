"""Values on their way between two processes: what is large goes by shared memory, a file as its descriptor.

A pipe copies in small pieces, and both ends wait for each other. The memory has no name: the system frees it once no
process maps it, however a process ends. A process that is handed an open file need not be able to open it.
"""

import fcntl
import mmap
import os
import pickle
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any, BinaryIO

MOST_BYTES = 2**31 - 1  # of a pickle, and of all arrays; an image of 64 megapixels has a tenth of it
_LARGE = 2**16  # bytes; less goes through the pipe
_HEAD = struct.Struct("<QQ")  # bytes of the pickle, files
_SIZE = struct.Struct("<Q")  # bytes of one array
_HEAD_BYTES = 2**16


class Garbled(Exception):
    """What arrived is no value that may be received."""


@dataclass(frozen=True)
class Handed:
    """A file to hand to a process: a path where it is sent, and a `BinaryIO`, open for reading, where it arrives."""

    path: Path


@dataclass(frozen=True)
class Package:
    """A pickled value, and what is not in the pickle: its large arrays, one after another, and its open files."""

    content: bytes
    arrays: tuple[memoryview, ...]
    files: tuple[BinaryIO, ...] = ()


def pack(value: object) -> Package:
    """Pickle a value without its large arrays, and open its files; `send` closes them.

    Raises
    ------
    Exception
        Whatever pickling or opening raises.
    """
    arrays: list[memoryview] = []

    def stays(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes >= _LARGE:
            arrays.append(raw)
        return raw.nbytes < _LARGE

    stream = BytesIO()
    with ExitStack() as opened:
        pickler = _Pickler(stream, opened, stays)
        pickler.dump(value)
        opened.pop_all()
    return Package(stream.getvalue(), tuple(arrays), tuple(pickler.files))


def send(pipe: Connection, package: Package) -> None:
    """Send a package.

    Raises
    ------
    OSError
        The other end is closed, or there is no memory.
    """
    sizes = b"".join(_SIZE.pack(array.nbytes) for array in package.arrays)
    with ExitStack() as stack:
        for file in package.files:
            stack.enter_context(file)
        pipe.send_bytes(_HEAD.pack(len(package.content), len(package.files)) + sizes)
        pipe.send_bytes(package.content)
        if package.arrays:
            memory = os.memfd_create("arrays", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            stack.callback(os.close, memory)
            for array in package.arrays:
                _write(memory, array)
            send_handle(pipe, memory, None)
        for file in package.files:
            send_handle(pipe, file.fileno(), None)


def receive(pipe: Connection, files: int = 0) -> Package:
    """Receive a package; its large arrays share the memory that they were sent in.

    Parameters
    ----------
    files
        Number of files that it may have.

    Raises
    ------
    EOFError, OSError
        The other end is closed.
    Garbled
    """
    try:
        head = _message(pipe, _HEAD_BYTES)
        size, count = _HEAD.unpack_from(head)
        sizes = [each for (each,) in _SIZE.iter_unpack(head[_HEAD.size :])]
        if max(size, sum(sizes)) > MOST_BYTES or count > files:
            raise Garbled
        content = _message(pipe, size)
        arrays = _map(recv_handle(pipe), sizes) if sizes else ()
        opened = tuple(os.fdopen(recv_handle(pipe), "rb") for _ in range(count))
    except (struct.error, ValueError, RuntimeError, AssertionError):
        raise Garbled from None
    return Package(content, arrays, opened)


def unpack(package: Package) -> Any:
    """Return the value of a package from a process that is trusted.

    Raises
    ------
    Exception
        Whatever unpickling raises.
    """
    return _Unpickler(package).load()


class _Pickler(pickle.Pickler):
    def __init__(self, stream: BytesIO, opened: ExitStack, stays: Callable[[pickle.PickleBuffer], bool]) -> None:
        super().__init__(stream, protocol=5, buffer_callback=stays)
        self._opened = opened
        self.files: list[BinaryIO] = []

    def persistent_id(self, value: object) -> int | None:
        """Return the place of a file that is handed over."""
        if not isinstance(value, Handed):
            return None
        self.files.append(self._opened.enter_context(value.path.open("rb")))
        return len(self.files) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, package: Package) -> None:
        super().__init__(BytesIO(package.content), buffers=package.arrays)
        self._files = package.files

    def persistent_load(self, place: int) -> BinaryIO:
        """Return a file that was handed over."""
        return self._files[place]


def _message(pipe: Connection, most: int) -> bytes:
    try:
        return pipe.recv_bytes(most)
    except OSError:
        if pipe.readable:
            raise
        raise Garbled from None  # it is longer


def _map(memory: int, sizes: Sequence[int]) -> tuple[memoryview, ...]:
    try:
        _keep_size(memory)
        whole = memoryview(mmap.mmap(memory, sum(sizes)))
    finally:
        os.close(memory)
    return tuple(whole[end - size : end] for end, size in zip(accumulate(sizes), sizes, strict=True))


def _keep_size(memory: int) -> None:
    """Prevent the sender from taking memory away that is mapped here: to read it would end this process."""
    try:
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except OSError:  # it is a file
        raise Garbled from None


def _write(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]

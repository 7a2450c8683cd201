"""Results of a process on their way through its pipe: what is large goes by shared memory.

A pipe copies in small pieces, and both ends wait for each other. The memory has no name: the system frees it once no
process maps it, however a process ends.
"""

import mmap
import os
import pickle
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle

_LARGE = 2**16  # bytes; less goes through the pipe


@dataclass(frozen=True)
class Package:
    """A pickled value, and the large arrays in it, one after another, which are not in the pickle."""

    content: bytes
    arrays: tuple[memoryview, ...]


def pack(value: object) -> Package:
    """Pickle a value without its large arrays.

    Raises
    ------
    Exception
        Whatever pickling raises.
    """
    arrays: list[memoryview] = []

    def stays(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes >= _LARGE:
            arrays.append(raw)
        return raw.nbytes < _LARGE

    return Package(pickle.dumps(value, protocol=5, buffer_callback=stays), tuple(arrays))


def send(pipe: Connection, package: Package) -> None:
    """Send a package.

    Raises
    ------
    OSError
        The other end is closed, or there is no memory.
    """
    pipe.send_bytes(pickle.dumps((package.content, [array.nbytes for array in package.arrays])))
    if package.arrays:
        memory = os.memfd_create("arrays")
        try:
            for array in package.arrays:
                _write(memory, array)
            send_handle(pipe, memory, None)
        finally:
            os.close(memory)


def receive(pipe: Connection) -> object:
    """Receive the value of a package; its large arrays share the memory that they were sent in.

    Raises
    ------
    EOFError, OSError
        The other end is closed.
    """
    content, sizes = pickle.loads(pipe.recv_bytes())  # noqa: S301
    if not sizes:
        return pickle.loads(content)  # noqa: S301
    handle = recv_handle(pipe)
    try:
        memory = memoryview(mmap.mmap(handle, sum(sizes)))
    finally:
        os.close(handle)
    ends = list(accumulate(sizes))
    arrays = [memory[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return pickle.loads(content, buffers=arrays)  # noqa: S301


def _write(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]

"""The C library's memory between the steps of training and inference."""

import ctypes
import platform

# mallopt's parameters, of glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGEST = 2**31 - 1  # bytes


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next allocation instead of giving it back to the system.

    Layers allocate and free tens of megabytes in every step. glibc maps such blocks anew each time, and the system
    fills them with zeros page by page: a third of the time of inference on a processor. Other C libraries are left
    as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        c_library = ctypes.CDLL(None)
        c_library.mallopt(M_MMAP_THRESHOLD, LARGEST)
        c_library.mallopt(M_TRIM_THRESHOLD, LARGEST)

"""A list of the system calls that a decoder process may make, enforced by the kernel: seccomp(2), filters of BPF.

A call that is not on the list answers ENOSYS, as a kernel without it would: the C library then does without. It is a
list of what is allowed because a list of what is forbidden would miss the calls of the next kernel.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import NamedTuple

# Numbers on x86-64 and on AArch64, asm/unistd_64.h and asm-generic/unistd.h; None where the architecture has none.
CALLS: dict[str, tuple[int, int | None]] = {
    # memory
    **{"brk": (12, 214), "mmap": (9, 222), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226)},
    **{"madvise": (28, 233), "memfd_create": (319, 279)},
    # files: opening one is for Landlock to allow
    **{"openat": (257, 56), "close": (3, 57), "read": (0, 63), "write": (1, 64), "lseek": (8, 62)},
    **{"pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "dup": (32, 23), "dup3": (292, 24)},
    **{"fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291), "stat": (4, None), "lstat": (6, None)},
    **{"access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None)},
    **{"readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17)},
    # the pipe to the service, through which open files come and go
    **{"sendmsg": (46, 211), "recvmsg": (47, 212), "getsockname": (51, 204), "poll": (7, None), "ppoll": (271, 73)},
    # threads
    **{"futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293), "sched_yield": (24, 124)},
    **{"sched_getaffinity": (204, 123), "getcpu": (309, 168), "gettid": (186, 178), "exit": (60, 93)},
    # signals that the process handles, and its end
    **{"rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132)},
    **{"restart_syscall": (219, 128), "exit_group": (231, 94)},
    # time, randomness, and questions about the process itself
    **{"clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None)},
    **{"nanosleep": (35, 101), "clock_nanosleep": (230, 115), "getrandom": (318, 278), "getpid": (39, 172)},
    **{"getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177)},
    **{"getrusage": (98, 165), "sysinfo": (99, 179), "uname": (63, 160)},
    # with some arguments only, see `_conditions`
    **{"clone": (56, 220), "fcntl": (72, 25), "ioctl": (16, 29), "prlimit64": (302, 261)},
    **{"kill": (62, 129), "tgkill": (234, 131)},
}
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_…, linux/audit.h

# linux/sched.h; glibc starts threads with clone where clone3 answers ENOSYS
_CLONE_THREAD = 0x00010000
_CLONE_NEW_NAMESPACES = 0x7E020000
# Copies and flags of descriptors, and seals of a memfd: not F_SETOWN, by which the kernel sends signals to others
_FCNTL = (0, 1, 2, 3, 4, 1030, 1033)
_IOCTL = (0x5401, 0x5451)  # TCGETS, by which a terminal is told from a file, and FIOCLEX

_LOAD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_…
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


class Condition(NamedTuple):
    """A call is allowed where an argument, of 32 bits and masked, is one of some values."""

    argument: int
    mask: int
    values: tuple[int, ...]


def confine() -> None:
    """Restrict this thread, and all that it will start, to the calls on the list; there is no way back.

    Raises
    ------
    OSError
        The kernel has no seccomp filters, or there is no list for this machine.
    """
    instructions = program(platform.machine(), os.getpid())
    content = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in instructions))
    header = struct.pack("HP", len(instructions), ctypes.addressof(content))  # struct sock_fprog
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), header):
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")


def program(machine: str, process: int) -> list[tuple[int, int, int, int]]:
    """Write the filter: instructions (code, jump if true, jump if false, operand).

    Parameters
    ----------
    machine
        Architecture, as `platform.machine` names it.
    process
        The process that the filter is for: it may send signals to itself.

    Raises
    ------
    OSError
        There is no list for this architecture.
    """
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"there is no list of system calls for {machine}")
    column = list(ARCHITECTURES).index(machine)
    conditions = _conditions(process)
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),  # calls by the numbers of another architecture, such as 32-bit ones
        (_LOAD, 0, 0, _NUMBER),
    ]
    for name, numbers in CALLS.items():
        number = numbers[column]
        if number is not None and name not in conditions:
            instructions += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for name, condition in conditions.items():
        number = CALLS[name][column]
        block = _block(condition)
        assert number is not None  # noqa: S101 (a test compares the table with the kernel's headers)
        instructions += [(_JUMP_IF_EQUAL, 0, len(block), number), *block]
    return [*instructions, (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]


def _conditions(process: int) -> dict[str, Condition]:
    return {
        "clone": Condition(0, _CLONE_THREAD | _CLONE_NEW_NAMESPACES, (_CLONE_THREAD,)),  # threads, no processes
        "fcntl": Condition(1, 0xFFFFFFFF, _FCNTL),
        "ioctl": Condition(1, 0xFFFFFFFF, _IOCTL),
        "prlimit64": Condition(0, 0xFFFFFFFF, (0,)),  # its own limits
        "kill": Condition(0, 0xFFFFFFFF, (process,)),
        "tgkill": Condition(0, 0xFFFFFFFF, (process,)),  # as abort(3) does
    }


def _block(condition: Condition) -> list[tuple[int, int, int, int]]:
    """Allow or refuse a call by an argument; machines are little-endian, so its low word comes first."""
    block = [(_LOAD, 0, 0, _ARGUMENTS + 8 * condition.argument), (_AND, 0, 0, condition.mask)]
    for value in condition.values:
        block += [(_JUMP_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [*block, (_RETURN, 0, 0, _ERRNO | errno.EPERM)]

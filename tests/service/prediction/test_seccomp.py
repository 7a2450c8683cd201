"""The filter of system calls, run by an interpreter of its own, against the numbers in the kernel's headers."""

import errno
import os
import re
from pathlib import Path

import pytest

from service.prediction.seccomp import ARCHITECTURES, CALLS, program

ALLOWED, KILLED, REFUSED, ABSENT = "allowed", "killed", "refused", "absent"
_ACTIONS = {0x7FFF0000: ALLOWED, 0x80000000: KILLED, 0x50000 | errno.EPERM: REFUSED, 0x50000 | errno.ENOSYS: ABSENT}
SELF = 4711


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> str:
    """Run the filter on a call, struct seccomp_data of linux/seccomp.h."""
    words = {0: number, 4: ARCHITECTURES[machine] if architecture is None else architecture}
    for place in range(6):
        value = arguments[place] if place < len(arguments) else 0
        words |= {16 + 8 * place: value & 0xFFFFFFFF, 20 + 8 * place: value >> 32 & 0xFFFFFFFF}
    instructions, position, value = program(machine, SELF), 0, 0
    while True:
        code, yes, no, operand = instructions[position]
        position += 1
        match code:
            case 0x20:
                value = words[operand]
            case 0x54:
                value &= operand
            case 0x15:
                position += yes if value == operand else no
            case 0x06:
                return _ACTIONS[operand]
            case _:
                raise AssertionError(code)


def number_of(machine: str, name: str) -> int:
    number = CALLS[name][list(ARCHITECTURES).index(machine)]
    assert number is not None
    return number


# asm-generic/unistd.h numbers the calls of AArch64; it calls newfstatat by its name on 32-bit machines
_HEADERS = {"x86_64": "x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_numbers_are_those_of_the_kernel(machine: str) -> None:
    header = Path("/usr/include") / _HEADERS[machine]
    if not header.exists():
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    defined.setdefault("newfstatat", defined.get("fstatat", ""))

    column = list(ARCHITECTURES).index(machine)
    listed = {name: numbers[column] for name, numbers in CALLS.items()}
    assert {name: number for name, number in listed.items() if defined.get(name) != str(number)} == dict.fromkeys(
        (name for name, number in listed.items() if number is None), None
    )
    assert not {name for name, number in listed.items() if number is None} & (set(defined) - {"stat", "lstat"})


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_nothing_else_is_allowed(machine: str) -> None:
    column = list(ARCHITECTURES).index(machine)
    conditional = {number_of(machine, name) for name in ("clone", "fcntl", "ioctl", "prlimit64", "kill", "tgkill")}
    plain = {numbers[column] for numbers in CALLS.values()} - conditional
    for number in [*range(1024), 0x40000000, 0x40000001, 2**32 - 1]:
        verdicts = {verdict(machine, number), verdict(machine, number, 1, 1, 1)}
        if number in plain:
            assert verdicts == {ALLOWED}
        elif number not in conditional:
            assert verdicts == {ABSENT}


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (0x3D0F00,), ALLOWED),  # as glibc starts a thread
        ("clone", (0x01200011,), REFUSED),  # as it forks
        ("clone", (0x4111,), REFUSED),  # as vfork
        ("clone", (0x10000000,), REFUSED),  # CLONE_NEWUSER
        ("clone", (0x3D0F00 | 0x20000,), REFUSED),  # CLONE_NEWNS
        ("clone", (2**32,), REFUSED),
        ("fcntl", (3, 1030, 0), ALLOWED),
        ("fcntl", (3, 8, SELF), REFUSED),  # F_SETOWN
        ("fcntl", (3, 10, 9), REFUSED),  # F_SETSIG
        ("ioctl", (0, 0x5401), ALLOWED),
        ("ioctl", (0, 0x5412), REFUSED),  # TIOCSTI: type into the terminal
        ("prlimit64", (0, 7), ALLOWED),
        ("prlimit64", (1, 7), REFUSED),
        ("kill", (SELF, 9), ALLOWED),
        ("kill", (SELF + 1, 9), REFUSED),
        ("kill", (2**64 - 1, 9), REFUSED),  # everybody
        ("kill", (0, 9), REFUSED),  # the process group
        ("tgkill", (SELF, SELF, 6), ALLOWED),
        ("tgkill", (1, 1, 6), REFUSED),
    ],
)
def test_some_are_allowed_by_their_arguments(
    machine: str, name: str, arguments: tuple[int, ...], expected: str
) -> None:
    assert verdict(machine, number_of(machine, name), *arguments) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_numbers_of_another_architecture_end_the_process(machine: str) -> None:
    for other in (*({*ARCHITECTURES.values()} - {ARCHITECTURES[machine]}), 0x40000003, 0):  # 0x40000003: i386
        assert verdict(machine, number_of(machine, "read"), architecture=other) == KILLED


def test_a_machine_without_a_list_has_no_filter() -> None:
    with pytest.raises(OSError, match="no list of system calls for riscv64"):
        program("riscv64", os.getpid())

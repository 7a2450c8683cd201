"""Processes as Linux shows them in /proc: a tree, its memory, and the decoder processes in it."""

from pathlib import Path

_PROC = Path("/proc")


def tree(root: int) -> set[int]:
    """Return a process and all that it and its children have started."""
    found, waiting = set[int](), [root]
    while waiting:
        number = waiting.pop()
        found.add(number)
        for task in (_PROC / str(number) / "task").glob("*/children"):
            waiting += map(int, _text(task).split())
    return found


def memory_bytes(processes: set[int]) -> int:
    """Return the memory of processes; each gets its share of pages that several have."""
    return sum(_proportional_bytes(number) for number in processes)


def tree_mib(root: int) -> float:
    """Return the memory of a process and all below it in MiB."""
    return memory_bytes(tree(root)) / 2**20


def workers(root: int) -> set[int]:
    """Return the decoder processes of a service."""
    return {number for number in tree(root) if "multiprocessing.spawn" in _text(_PROC / str(number) / "cmdline")}


def _proportional_bytes(number: int) -> int:
    for line in _text(_PROC / str(number) / "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the process has ended
        return ""

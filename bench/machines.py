"""Training on two machines of which one rank is killed, and resumed: `python -m bench.machines`.

Both machines are this one: two torchrun agents on loopback with one process each, on processors, as
`tests/training/fit/test_machines.py` has them, on its forty pictures of 64 pixels. The seconds are mostly those of the
starts; they do not say how fast training is.
"""

import contextlib
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.numpy import load_file

from bench.scores import table
from tests.training.conftest import write_published
from tests.training.fit.test_machines import KILLED, finish, start
from training.fit import checkpoint


def digest(run: Path) -> str:
    """Return the beginning of the SHA-256 of all weights of a finished run; a dash for one that is not finished."""
    if not (run / checkpoint.DOCUMENT).exists():
        return "-"
    weights, result = load_file(run / checkpoint.WEIGHTS), hashlib.sha256()
    for name in sorted(weights):
        result.update(name.encode() + weights[name].tobytes())
    return result.hexdigest()[:16]


def measure(folder: Path) -> str:
    """Train, train with a kill, and resume; return a table."""
    data, whole, killed = write_published(folder / "tiny"), folder / "whole", folder / "killed"
    steps: list[tuple[str, Path, Callable[[], list[int]]]] = [
        ("not interrupted", whole, lambda: finish(start(data, whole))),
        ("the second rank killed (SIGKILL) after an epoch", killed, lambda: finish(start(data, killed, KILLED))),
        ("the same commands again", killed, lambda: finish(start(data, killed))),
    ]
    lines = [["two machines", "seconds", "exit statuses", "SHA-256 of the weights"]]
    for name, run, step in steps:
        begin = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):  # what a command that ends with an error printed
            statuses = step()
        spent = f"{time.perf_counter() - begin:.0f}"
        lines.append([name, spent, ", ".join(map(str, statuses)), digest(run)])
    assert digest(whole) == digest(killed) != "-"
    return table(lines)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        print(measure(Path(temporary)))

"""Script of test_killed.py: trains in forked children and kills them.

Forked, as importing torch takes longer than the training does.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import torch

import training.fit.run  # noqa: F401 - imported before the fork, so that children need not import torch
from training.cli.app import app

KILLS = 4  # by the clock
SHORTEST, LONGEST = 0.05, 1.0  # seconds


def die_at(rename: int) -> None:
    """Exit before the n-th rename; every other time with the written file truncated, as if killed while writing."""
    count = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event == "os.rename":
            count += 1
            if count == rename:
                written = Path(str(arguments[0]))
                if rename % 2:
                    os.truncate(written, written.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def attempt(words: list[str], rename: int = 0, seconds: float = 0) -> bool:
    """Train in a child process, and return whether it finished."""
    child = os.fork()
    if not child:
        try:
            if rename:
                die_at(rename)
            if seconds:
                # Its own clock: this process may be late, and find that the child has finished.
                signal.setitimer(signal.ITIMER_REAL, seconds)  # ends it as abruptly as SIGKILL, at SIGALRM
            app(words, standalone_mode=False)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    if status and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGALRM)):
        raise SystemExit(f"{words}: ended with {status}")
    return status == 0


def main(data: str, out: Path, renames: list[int], options: list[str]) -> None:
    """Train without interruption, killed at each of the renames, and killed by a timer; write the number of kills."""
    torch.set_num_threads(1)
    words = ["train", "--data", data, "--cache", str(out / "cache"), "--resume", *options, "--out"]
    assert attempt([*words, str(out / "whole")])
    at_renames = [rename for rename in renames if not attempt([*words, str(out / f"renamed{rename}")], rename=rename)]
    for rename in at_renames:
        assert attempt([*words, str(out / f"renamed{rename}")])
    # The shortest first: on a fast machine a run may end before the longest.
    waits = sorted(np.random.default_rng(0).uniform(SHORTEST, LONGEST, KILLS))
    killed = sum(not attempt([*words, str(out / "clock")], seconds=wait) for wait in waits)
    assert attempt([*words, str(out / "clock")])
    (out / "kills.txt").write_text(f"{len(at_renames)} {killed}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [int(rename) for rename in sys.argv[3].split(",")], sys.argv[4:])

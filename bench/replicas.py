"""What becomes of requests when a part of three replicas fails: `python -m bench.replicas`.

Runs `tests/docker/test_replicas.py`, whose senders post radiographs without pause while it breaks the deployment, and
makes a table of what it prints. It needs a Docker engine.
"""

import re
import subprocess
import sys
from collections.abc import Iterable

from bench.prevalence import ROOT
from bench.scores import table

TESTS = "tests/docker/test_replicas.py"
HEAD = ["what happens", "acknowledged", "refused with 503", "without an answer", "failed", "acknowledged and lost"]
LINE = re.compile(
    r"measured: (.+): (\d+) acknowledged; refused with 503: (.+); (\d+) without an answer; (\d+) failed; (\d+) lost"
)


def rows(lines: Iterable[str]) -> list[list[str]]:
    """Return the cells of each line that `tests.docker.load.summary` made."""
    return [list(found.groups()) for line in lines if (found := LINE.fullmatch(line))]


def main() -> None:
    """Print a table, or what the tests print if one fails."""
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "docker", TESTS]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    found = rows(done.stdout.splitlines())
    if done.returncode or not found:
        raise SystemExit(f"{done.stdout}\n{TESTS}: exit status {done.returncode}, {len(found)} lines of figures")
    print(table([HEAD, *found]))


if __name__ == "__main__":
    main()

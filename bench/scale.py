"""The figures of docs/scale.md: `python -m bench.scale [NAME ...]` runs the programs, and writes what they print.

Without names it runs all, which takes forty minutes of a machine that does nothing else; most of it fills a database.
`replicas` needs a Docker engine; `region` is computed from what `saving` has written and from bench/RESULTS.md.
"""

import subprocess
import sys
from pathlib import Path

from bench.prevalence import ROOT
from bench.scores import between

PAGE = ROOT / "docs" / "scale.md"
PROGRAMS = {
    "backfill": ("backfill", "--files", "5000"),
    "killed": ("backfill", "--kill", "--files", "20000"),
    "cost": ("cost", "--check"),
    "saving": ("saving",),
    "bucket": ("bucket", "--count", "60"),
    "replicas": ("replicas",),
    "region": ("sizing",),
    "pack": ("pack",),
    "million": ("million",),
    "loader": ("feeding",),
    "machines": ("machines",),
    "worklist": ("worklist", "--rows", "10000000", "--postgresql"),
}


def mark(name: str) -> str:
    """Return the mark of a program's text on the page."""
    return f"{name}: python -m bench.scale"


def run(words: tuple[str, ...]) -> str:
    """Return what a program of `bench` prints, under the command."""
    command = ["-m", f"bench.{words[0]}", *words[1:]]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    text = done.stdout.strip()
    is_prose = "| --- |" in text or "\n" not in text
    return f"`python {' '.join(command)}`\n\n" + (text if is_prose else f"```text\n{text}\n```")


def main(names: list[str], page: Path = PAGE) -> None:
    """Run the named programs, or all."""
    for name in names or PROGRAMS:
        between(page, mark(name), run(PROGRAMS[name]))
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

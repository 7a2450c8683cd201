"""A section that is another program of `bench/`: what it prints is its text, and its figures are read from it."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.prevalence import ROOT
from bench.speed.figure import Figure, Report
from bench.speed.section import Results, Run, Section

_SECONDS = 1800


@dataclass(frozen=True)
class Printed:
    """A figure in what a program prints.

    Attributes
    ----------
    figure
        Its name and bar, without a value.
    pattern
        A regular expression whose group is the value.
    optional
        Whether the program may leave it out, as for a library that is not installed.
    """

    figure: Figure
    pattern: str
    optional: bool = False

    def read(self, text: str) -> Figure:
        """Return the figure with the value in a text; without one if the text is empty.

        Raises
        ------
        ValueError
            The program prints it in another way.
        """
        found = re.search(self.pattern, text)
        if text and not found and not self.optional:
            raise ValueError(f"{self.figure.name}: {self.pattern} is expected in the output")
        return replace(self.figure, value=float(found[1]) if found else None)


def program(
    name: str, title: str, arguments: Sequence[str], small: Sequence[str], printed: Sequence[Printed] = ()
) -> Section:
    """Return a section of the program `bench.{name}`, run with arguments in full and others at the small size.

    What follows a hyphen in the name tells two sections of one program apart.
    """
    module = name.partition("-")[0]
    return Section(name, title, partial(_measure, module, arguments, small), partial(_report, name, printed))


def _measure(name: str, arguments: Sequence[str], small: Sequence[str], run: Run) -> None:
    if importlib.util.find_spec(f"bench.{name}") is None:
        print(f"  there is no bench/{name}.py", flush=True)
        return
    chosen = small if run.size.name == "small" else arguments
    run.kept.once("output", lambda: _output([sys.executable, "-m", f"bench.{name}", *chosen]))


def _output(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} ended with status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def _report(name: str, printed: Sequence[Printed], results: Results) -> Report:
    text = results.get(name, {}).get("output", "").strip()
    figures = [each.read(text) for each in printed]
    is_table = text.count("|") > 1
    return Report(text if is_table or not text else f"```text\n{text}\n```", figures)

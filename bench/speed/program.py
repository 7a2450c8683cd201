"""A section that is another program of `bench/`: what it prints is its text, and lines of JSON are its figures.

A program prints a figure as one line, as `print(json.dumps(asdict(Figure(...))))` writes it:
{"name": "SR of 3000 x 2500", "sign": "≤", "bar": 0.5, "value": 0.41, "unit": " s"}
"""

import importlib.util
import json
import subprocess
import sys
from functools import partial

from bench.prevalence import ROOT
from bench.speed.figure import Figure, Report
from bench.speed.section import Results, Run, Section

_SECONDS = 1800


def program(name: str, title: str, module: str, *arguments: str, small: tuple[str, ...] = ()) -> Section:
    """Return the section of a module that is run as a program; `small` are its arguments at the small size."""
    return Section(name, title, partial(_measure, module, arguments, small), partial(_report, name, module))


def _measure(module: str, arguments: tuple[str, ...], small: tuple[str, ...], run: Run) -> None:
    if importlib.util.find_spec(module) is None:
        print(f"  there is no {module} here", flush=True)
        return
    chosen = arguments if run.size.name == "full" else small
    run.kept.once("output", lambda: _output([sys.executable, "-m", module, *chosen]))


def _output(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} ended with status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def _report(name: str, module: str, results: Results) -> Report:
    lines = results.get(name, {}).get("output", "").splitlines()
    figures = [Figure(**json.loads(line)) for line in lines if line.startswith("{")]
    text = "\n".join(line for line in lines if not line.startswith("{")).strip()
    return Report(f"`python -m {module}`\n\n{text}" if text else "", figures)

"""The command line of all sections: measure, keep, and write the page.

`python -m bench.speed [--size small] [--without memory] [--again] [--write]`, and the same for one section:
`python -m bench.speed.throughput`.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.prevalence import ROOT
from bench.scores import between
from bench.speed.figure import bars
from bench.speed.kept import Kept, identity
from bench.speed.section import BUILD, Results, Run, Section
from bench.speed.size import FULL, SIZES, Size
from service.settings import SHIPPED_ARTEFACT
from tests.service.dimse.serving import Process, environment, service

PAGE = ROOT / "bench" / "RESULTS.md"
_UNSET = ("TRIAGE_LIMITS__DECODE_WORKERS", "TRIAGE_RUNTIME__THREADS")  # which tests set


def main(*names: str) -> None:
    """Measure the named sections, or all, and print or write what they say."""
    from bench.speed.sections import SECTIONS

    parser = argparse.ArgumentParser(description="Measure the speed of the service; see bench/RESULTS.md.")
    parser.add_argument("--size", choices=SIZES, default=FULL.name, help="small: only to see that it works")
    parser.add_argument("--only", default="", metavar="NAME,...", help="sections to measure")
    parser.add_argument("--without", default="", metavar="NAME,...", help="sections to leave out")
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    options = parser.parse_args()
    size, left_out = SIZES[options.size], options.without.split(",")
    named = names or tuple(filter(None, options.only.split(",")))
    chosen = [each for each in SECTIONS if each.name in named or not named]
    sources = identity()
    failed = []
    for section in chosen:
        kept = kept_of(section, size, sources)
        if options.again:
            kept.path.unlink(missing_ok=True)
            kept = kept_of(section, size, sources)
        if section.name not in left_out and not _measured(section, size, kept):
            failed.append(section.name)
    results = {section.name: kept_of(section, size, sources).rows for section in SECTIONS}
    print(page(chosen, results) if named else bars([f for s in SECTIONS for f in s.report(results).figures]))
    if options.write:
        write(PAGE, SECTIONS, results)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def kept_of(section: Section, size: Size, sources: str) -> Kept:
    """Return the rows of a section that were measured with these sources."""
    return Kept(BUILD / size.name / f"{section.name}.jsonl", sources)


def measure(section: Section, run: Run) -> None:
    """Measure one section, with a service of its own if it asks for one and has none."""
    if not section.served or run.address:
        section.measure(run)
        return
    with running(run.folder) as served:
        section.measure(replace(run, address=served.address, pid=served.process.pid))


@contextmanager
def running(folder: Path) -> Iterator[Process]:
    """Run the service with its default settings, on a free port."""
    variables = {name: value for name, value in environment(SHIPPED_ARTEFACT, folder).items() if name not in _UNSET}
    with service(variables, folder / "log") as served:
        yield served


def page(sections: Sequence[Section], results: Results) -> str:
    """Return what sections say."""
    reports = [section.report(results) for section in sections]
    return "\n\n".join([*(report.text for report in reports), bars([f for report in reports for f in report.figures])])


def write(path: Path, sections: Sequence[Section], results: Results) -> None:
    """Fill the marked parts of the page; a section without a row keeps its text."""
    figures = [figure for section in sections for figure in section.report(results).figures]
    between(path, "bars: python -m bench.speed --write", bars(figures))
    for section in sections:
        if results.get(section.name):
            between(path, f"{section.name}: python -m bench.speed --write", section.report(results).text)


def _measured(section: Section, size: Size, kept: Kept) -> bool:
    """Measure one section; report a failure, which must not cost the sections after it."""
    start = time.perf_counter()
    print(f"{section.title} ({section.name})", flush=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=BUILD))
    try:
        measure(section, Run(size, kept, folder))
    except Exception as error:  # whatever a section does
        print(f"  failed: {type(error).__name__}: {error}", flush=True)
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    return True

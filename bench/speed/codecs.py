"""Decoders of JPEG 2000 and HTJ2K, the service's and the one before: `python -m bench.speed.codecs`."""

import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.encaps import get_frame

from bench.scores import table
from bench.speed.figure import Figure, Report, ratio
from bench.speed.kept import Rows
from bench.speed.section import Results, Run, Section
from service.dicom.codecs import decode_htj2k, decode_jpeg2000

Decoder = Callable[[bytes], Any]

BEFORE = "pylibjpeg-openjpeg, the decoder before"
OURS = {"HTJ2K": decode_htj2k, "JPEG 2000": decode_jpeg2000}
BARS = {"HTJ2K": 2.5, "JPEG 2000": 1.05}
_OURS, _ONE, _TWO = "the service's", "OpenJPEG of imagecodecs, 1 thread", "OpenJPEG of imagecodecs, 2 threads"


def decoders(syntax: str) -> dict[str, Decoder]:
    """Return the decoders to compare by name.

    Raises
    ------
    ImportError
        `pylibjpeg-openjpeg`, of the extra `dev`, is not installed.
    """
    from openjpeg.utils import decode

    with_threads = {
        _ONE: partial(imagecodecs.jpeg2k_decode, numthreads=1),
        _TWO: partial(imagecodecs.jpeg2k_decode, numthreads=2),
    }
    return {BEFORE: decode, _OURS: OURS[syntax], **with_threads}


def measure(run: Run) -> None:
    for film in run.films(tuple(OURS)):
        stream = get_frame(dcmread(BytesIO(film.data)).PixelData, 0, number_of_frames=1)
        run.kept.once(film.name, lambda: compare(decoders(film.name), stream, run.size.repeats))  # noqa: B023


def compare(candidates: dict[str, Decoder], stream: bytes, repeats: int) -> Rows:
    """Return the best wall time and processor time of each decoder; they take turns, and must agree."""
    values = [np.asarray(decode(stream)) for decode in candidates.values()]
    assert all(np.array_equal(each, values[0]) for each in values), "the decoders differ"
    best = {name: [float("inf")] * 2 for name in candidates}
    for _ in range(repeats):
        for name, decode in candidates.items():
            begin, cpu = time.perf_counter(), time.process_time()
            decode(stream)
            spent = time.perf_counter() - begin, time.process_time() - cpu
            best[name] = [min(pair) for pair in zip(best[name], spent, strict=True)]
    return {name: {"wall": wall, "cpu": cpu} for name, (wall, cpu) in best.items()}


def report(results: Results) -> Report:
    rows = results.get("codecs", {})
    head = ["milliseconds of one image, best (processor)", *OURS]
    names = (BEFORE, _OURS, _ONE, _TWO)
    lines = [[name, *(_cell(rows.get(syntax, {}).get(name)) for syntax in OURS)] for name in names]
    figures = [
        Figure(f"{syntax}: decoding over the decoder before", "≥", bar, _gain(rows.get(syntax)), " ×")
        for syntax, bar in BARS.items()
    ]
    return Report(f"Lossless; all decoders return the same values, and take turns.\n\n{table([head, *lines])}", figures)


def _gain(row: Rows | None) -> float | None:
    return ratio(row[BEFORE]["wall"], row[_OURS]["wall"]) if row else None


def _cell(times: dict[str, float] | None) -> str:
    return f"{1000 * times['wall']:.0f} ({1000 * times['cpu']:.0f})" if times else ""


SECTION = Section("codecs", "Decoding JPEG 2000", measure, report)

if __name__ == "__main__":
    from bench.speed.command import main

    main("codecs")

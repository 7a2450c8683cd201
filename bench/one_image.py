"""Seconds and memory of one radiograph at a time, for the README: `python -m bench.one_image [--write]`.

The service runs with its default settings. A radiograph of 2500 x 3000 pixels and 12 bits is sent in each form, and the
answer, which means that result and file are on disk, is waited for. On a machine that does nothing else.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from bench.page import HEIGHT, WIDTH, film
from bench.prevalence import ROOT
from bench.scores import between, table
from service.settings import SHIPPED_ARTEFACT
from tests.factories import compressed
from tests.service.dimse.serving import environment, service

PAGE = ROOT / "README.md"
MARK = "one image: python -m bench.one_image --write"
REPEATS = 15
FORMS = {"uncompressed": None, "JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless}
UNSET = ("TRIAGE_LIMITS__DECODE_WORKERS", "TRIAGE_RUNTIME__THREADS")  # which tests set


def encoded(data: bytes, syntax: str | None) -> bytes:
    """Return a file in a transfer syntax; the same if there is none."""
    return data if syntax is None else compressed(dcmread(BytesIO(data)), syntax)


def seconds(post: Callable[[bytes], httpx.Response], syntax: str | None, first: int) -> float:
    """Send radiographs one after another, the first as a warm-up; return the median time of the others."""
    spent = []
    for number in range(first, first + REPEATS + 1):
        data = encoded(film(number), syntax)
        start = time.perf_counter()
        answer = post(data)
        spent.append(time.perf_counter() - start)
        assert answer.status_code == 200, answer.text
    return statistics.median(spent[1:])


def peak_memory(parent: int) -> float:
    """Return the sum of the peaks of a process and its children in MiB."""
    statuses = [path.read_text() for path in Path("/proc").glob("[0-9]*/status")]
    fields = [dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line) for status in statuses]
    own = [each for each in fields if parent in (int(each["Pid"]), int(each["PPid"])) and "VmHWM" in each]
    return sum(int(each["VmHWM"].split()[0]) for each in own) / 1024


def main() -> None:
    """Measure, and write the table to the README if asked to."""
    folder = Path(tempfile.mkdtemp())
    variables = {name: value for name, value in environment(SHIPPED_ARTEFACT, folder).items() if name not in UNSET}
    with service(variables, folder / "log") as running, httpx.Client(base_url=running.address, timeout=300) as http:

        def post(data: bytes) -> httpx.Response:
            return http.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})

        rows = [
            [name, f"{seconds(post, syntax, 100 * number):.2f} s"]
            for number, (name, syntax) in enumerate(FORMS.items())
        ]
        memory = peak_memory(running.process.pid)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, no GPU; at most {memory:.0f} MiB in all processes"
    text = f"{table([[f'{WIDTH} × {HEIGHT} pixels, 12 bits', 'time to the answer, median'], *rows])}\n\n{machine}."
    if "--write" in sys.argv:
        between(PAGE, MARK, text)
    print(text)


if __name__ == "__main__":
    main()

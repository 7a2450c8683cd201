"""Records a second that a database takes: `python -m bench.saving [--seconds N]`.

Writers are processes, as replicas and the nodes of a cluster are, and share the processors with the server (Debian's
package postgresql), which writes each transaction to disk. The records of the service are events as well, which are
committed one after another; those of a back-fill are not.
"""

import argparse
import contextlib
import multiprocessing
import platform
import time
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.scores import table
from service.inference.provider import processors
from service.storage.records import Records
from tests.postgresql import running
from tests.service.records import record

WRITERS = {"SQLite": (1, 4), "PostgreSQL": (1, 4, 16)}
_SAFE = ("fsync=on", "full_page_writes=on")


@contextlib.contextmanager
def opened(name: str) -> Iterator[str]:
    """Yield the URL of an empty database."""
    if name == "SQLite":
        with TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'triage.sqlite'}"
        return
    with running(*_SAFE) as server, server.database() as url:
        yield url


def rate(url: str, writers: int, seconds: float, backfilled: bool) -> float:
    """Return the records that are committed in a second."""
    records = Records(url)
    records.open()
    records.close()
    spawn = multiprocessing.get_context("spawn")
    barrier, counts = spawn.Barrier(writers), spawn.SimpleQueue()
    processes = [
        spawn.Process(target=_save, args=(url, number, seconds, backfilled, barrier, counts))
        for number in range(writers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return sum(counts.get() for _ in processes) / seconds


def _save(
    url: str,
    writer: int,
    seconds: float,
    backfilled: bool,
    barrier: Barrier,
    counts: "multiprocessing.queues.SimpleQueue[int]",
) -> None:
    records = Records(url)
    records.open()
    count = 0
    barrier.wait(60)
    end = time.perf_counter() + seconds
    while not count or time.perf_counter() < end:  # a process that was stopped saves one as well
        uid = f"2.25.{time.time_ns()}.{writer}"
        records.save(record(study_instance_uid=uid, sop_instance_uid=uid, instance_file=f"{uid}.dcm"), (), backfilled)
        count += 1
    counts.put(count)
    records.close()


def report(seconds: float) -> str:
    """Return the table."""
    lines = [["database, writers", "of the service, records/s", "of a back-fill, records/s"]]
    for name, numbers in WRITERS.items():
        with opened(name) as url:
            for writers in numbers:
                rates = [rate(url, writers, seconds, backfilled) for backfilled in (False, True)]
                lines.append([f"{name}, {writers}", *(f"{value:.0f}" for value in rates)])
    return f"{processors()} processors, {platform.machine()}, Python {platform.python_version()}\n\n{table(lines)}"


def main(words: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    print(report(parser.parse_args(words).seconds))


if __name__ == "__main__":
    main()

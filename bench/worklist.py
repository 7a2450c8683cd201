"""Measure the queries of a long worklist: fill a database and print median times.

python -m bench.worklist --rows 100000 [--url postgresql+psycopg://…]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from service.storage.database import Database
from service.storage.filters import Filters
from service.storage.tables import INSTANCES, PREDICTIONS, WORKLIST
from service.storage.worklist import Worklist
from service.triage.rule import PRIORITIES

LABELS = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia"),
    *("Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
)
BATCH = 2000
REPEATS = 11
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(random: Random, numbers: range) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Yield the rows of three tables for each radiograph; the maps have 28 x 28 cells, as in the shipped artefact."""
    for number in numbers:
        id, created = f"{random.getrandbits(128):032x}", START + timedelta(seconds=40 * number)
        name, patient, accession = (
            f"Patient{number % 7919}^Given{number % 613}",
            f"P{number // 2:07d}",
            f"A{number:08d}",
        )
        positive = [label for label in LABELS if random.random() < 0.05]
        rank = 0 if "Pneumothorax" in positive else 1 if positive else 2
        margin = random.gauss(0, 2)
        body = {
            "reason": positive,
            "findings": [{"label": label, "probability": 0.1, "positive": label in positive} for label in LABELS],
            "box": [0, 0, 9, 9],
            "flags": [],
            "model": {"name": "agcnn", "version": "1", "sha256": "a" * 64},
            "timings_ms": {},
        }
        yield (
            {
                "id": number + 1,
                "study_instance_uid": f"2.25.{number}",
                "series_instance_uid": f"2.25.{number}.1",
                "sop_instance_uid": f"2.25.{number}.1.1",
                "accession_number": accession,
                "attributes": {"PatientName": name, "PatientID": patient, "Modality": "DX", "PatientSex": "F"},
                "patient_name": name,
                "patient_id": patient,
                "display_sha256": "d" * 64,
                "instance_file": f"{id}.dcm",
                "instance_bytes": 1,
                "received": created,
            },
            {
                "id": id,
                "instance_id": number + 1,
                "artefact_sha256": "a" * 64,
                "created": created,
                "priority": PRIORITIES[rank],
                "margin": margin,
                "body": body,
                "map_height": 28,
                "map_width": 28,
                "heat_map": random.randbytes(4 * 28 * 28),
                "class_maps": random.randbytes(4 * 14 * 28 * 28),
            },
            {
                "prediction_id": id,
                "instance_id": number + 1,
                "newest": True,
                "unread": number % 10 == 0,
                "rank": rank,
                "urgency": -margin,
                "created": created,
                "positive": "".join(f"|{label}|" for label in positive),
                "searched": f"{name}\n{patient}\n{accession}".casefold(),
            },
        )


def fill(database: Database, count: int) -> None:
    random = Random(0)
    for first in range(0, count, BATCH):
        batch = list(rows(random, range(first, min(first + BATCH, count))))
        with database.write() as connection:
            for index, table in enumerate((INSTANCES, PREDICTIONS, WORKLIST)):
                connection.execute(sa.insert(table), [row[index] for row in batch])


def median_ms(query: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        query()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(worklist: Worklist, count: int) -> None:
    deep, position = None, 0
    while position < 0.9 * count:
        _, deep = worklist.page(Filters(), 500, deep)
        position += 500
    queries: dict[str, Callable[[], object]] = {
        "first page of 50": lambda: worklist.page(Filters(), 50, None),
        f"page of 50 after {position:,}": lambda: worklist.page(Filters(), 50, deep),
        "first page, unread": lambda: worklist.page(Filters(read=False), 50, None),
        "first page, ROUTINE": lambda: worklist.page(Filters(priority="ROUTINE"), 50, None),
        "first page, finding Hernia": lambda: worklist.page(Filters(finding="Hernia"), 50, None),
        "search, one hit": lambda: worklist.page(Filters(q=f"a{count - 1:08d}"), 50, None),
        "search, two words": lambda: worklist.page(Filters(q="patient77 given9"), 50, None),
        "counts, no filter": lambda: worklist.counts(Filters()),
        "counts, search": lambda: worklist.counts(Filters(q="patient77")),
        "counts, finding and unread": lambda: worklist.counts(Filters(finding="Hernia", read=False)),
    }
    for name, query in queries.items():
        print(f"{name:32}{median_ms(query):9.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--url", help="an empty database; by default SQLite in a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(options.url or f"sqlite:///{Path(folder) / 'triage.sqlite'}")
        database.open()
        start = time.perf_counter()
        fill(database, options.rows)
        print(f"{options.rows:,} rows filled in {time.perf_counter() - start:.0f} s")
        measure(Worklist(database), options.rows)
        database.close()


if __name__ == "__main__":
    main()

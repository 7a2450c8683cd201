"""Measure the queries of a long worklist and of QIDO-RS: fill a database and print median times.

python -m bench.worklist --rows 1000000
python -m bench.worklist --rows 10000000 --postgresql     a server of its own (Debian's package postgresql)
python -m bench.worklist --rows 10000000 --url postgresql+psycopg://…

Expected of what the route of the list asks for, the first page with the counts, is at most 20 ms with 1,000,000 rows on
SQLite, which take some minutes and 7 GB to fill, and 30 ms with 10,000,000 on PostgreSQL: some minutes and 30 GB.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import sqlalchemy as sa

from bench import server_rows
from model.labels import LABELS
from service.storage import cursor as cursors
from service.storage import entries, rows
from service.storage.criteria import Between, Criterion, Like, OneOf
from service.storage.database import Database
from service.storage.filters import Filters
from service.storage.order import URGENCY, Order
from service.storage.record import Record
from service.storage.records import Records
from service.storage.studies import Studies
from service.storage.tables import INSTANCES, PREDICTIONS, WORKLIST
from service.storage.worklist import Worklist
from service.triage.rule import PRIORITIES
from tests.postgresql import running
from tests.service.records import finding, record

BATCH = 10_000
REPEATS = 11
START = datetime(2026, 1, 1, tzinfo=UTC)
CELLS = 8  # along each side of a map, as in the artefact that ships
URGENT = 0.002  # share of STAT, so that its filter is selective
POSITIVE = 0.15
READ = 0.9

# Settings of a small database server; the others are those of Debian. Nothing is written while it is measured.
SERVER = ("shared_buffers=4GB", "work_mem=32MB", "effective_cache_size=12GB", "random_page_cost=1.1")
SERVER += ("maintenance_work_mem=1GB", "max_wal_size=4GB", "wal_level=minimal", "max_wal_senders=0")

Row = dict[str, Any]
Query = Callable[[], object]


def records(random: Random, numbers: range) -> Iterator[Record]:
    """Yield a record for each number: of every two one is of the same patient."""
    for number in numbers:
        name = f"Patient{number % 7919}^Given{number % 613}"
        created = START + timedelta(seconds=40 * number)
        label = LABELS[number % len(LABELS)] if random.random() < POSITIVE else ""
        rank = 0 if random.random() < URGENT else 1 if label else 2
        yield replace(
            template(label),
            id=f"{random.getrandbits(128):032x}",
            created=created,
            study_instance_uid=f"2.25.{number}",
            series_instance_uid=f"2.25.{number}.1",
            sop_instance_uid=f"2.25.{number}.1.1",
            accession_number=f"A{number:08d}",
            attributes={
                **{"PatientName": name, "PatientID": f"P{number // 2:07d}", "Modality": "DX", "PatientSex": "F"},
                "StudyDate": f"{created:%Y%m%d}",
                "StudyTime": f"{created:%H%M%S}",
            },
            instance_file=f"{number:032x}.dcm",
            prediction=replace(template(label).prediction, priority=PRIORITIES[rank], margin=random.gauss(0, 2)),
        )


@cache
def template(label: str) -> Record:
    """Return a record with one positive finding, or none."""
    random = np.random.default_rng(0)
    return record(
        findings=tuple(finding(each, positive=each == label) for each in LABELS),
        reason=(label,) if label else (),
        heat_map=random.random((CELLS, CELLS), np.float32),
        class_maps=random.normal(size=(len(LABELS), CELLS, CELLS)).astype(np.float32),
    )


@cache
def prediction_template(label: str) -> Row:
    """Return the columns of the prediction of a template: to make them anew for every record would take minutes."""
    return rows.prediction_values(template(label), 0)


def table_rows(random: Random, numbers: range) -> Iterator[tuple[Row, Row, Row]]:
    """Yield the rows of three tables for each record."""
    for number, each in zip(numbers, records(random, numbers), strict=True):
        own = {"id": each.id, "instance_id": number + 1, "created": each.created}
        judged = {"priority": each.prediction.priority, "margin": each.prediction.margin}
        label = "".join(each.prediction.positive)
        entry = entries.entry_values(each, number + 1) | {"newest": True, "unread": random.random() >= READ}
        instance = rows.instance_values(each) | {"id": number + 1}
        yield instance, prediction_template(label) | own | judged, entry


def fill_server(url: str, count: int) -> None:
    templates = [prediction_template(label) | {"positive": f"|{label}|" if label else ""} for label in ("", *LABELS)]
    shares = {"start": START, "urgent": URGENT, "positive": POSITIVE, "read": READ}
    server_rows.fill(url, count, shares, templates)


def fill(database: Database, count: int) -> None:
    random = Random(0)
    for first in range(0, count, BATCH):
        batch = list(table_rows(random, range(first, min(first + BATCH, count))))
        with database.write() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA cache_size = -1000000")  # 1 GB: keys are inserted in random order
            for index, table in enumerate((INSTANCES, PREDICTIONS, WORKLIST)):
                connection.execute(sa.insert(table), [row[index] for row in batch])


def median_ms(query: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        query()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def after(database: Database, position: int) -> str:
    """Return the cursor after the entry at a position, most urgent first; to turn the pages would take minutes."""
    place = sa.select(*URGENCY).order_by(*URGENCY).offset(position - 1).limit(1)
    with database.read() as connection:
        rank, urgency, created, id = connection.execute(place).one()
    return cursors.encode_place(rank, urgency, created, id)


def searches(database: Database, count: int) -> dict[str, Query]:
    """Return the searches for studies that QIDO-RS makes, by name: a page of 100 with their records."""
    studies, day = Studies(database), f"{START + timedelta(seconds=20 * count):%Y%m%d}"
    criteria: dict[str, list[Criterion]] = {
        "all": [],
        "patient ID": [OneOf("PatientID", (f"P{count // 4:07d}",))],
        "accession number": [OneOf("AccessionNumber", (f"A{count // 2:08d}",))],
        "study": [OneOf("StudyInstanceUID", (f"2.25.{count // 2}",))],
        "a day": [Between("StudyDate", day, day)],
        "a day's DX": [Between("StudyDate", day, day), OneOf("Modality", ("DX",))],
        "name": [Like("PatientName", "patient77^given9*")],
        "beginning of a common name": [Like("PatientName", "patient*")],
        "end of a rare name": [Like("PatientName", "*77^given612")],
    }
    return {f"QIDO, {name}": partial(found, studies, each) for name, each in criteria.items()}


def found(studies: Studies, criteria: list[Criterion]) -> object:
    return studies.records(studies.find(criteria, 100, 0))


def queries(worklist: Worklist, count: int, deep: str) -> dict[str, Query]:
    """Return what a reader and the page ask for, by name; `deep` is the cursor after nine tenths of the list."""
    orders = {
        "urgency": Order(),
        "latest received": Order("received", descending=True),
        "patient": Order("patient"),
        "latest study": Order("study", descending=True),
    }
    orders |= {f"{name}, unread first": replace(order, unread_first=True) for name, order in orders.items()}
    hernia, stat = Filters(finding="Hernia"), Filters(priority="STAT")
    return {
        "first page and counts": lambda: (worklist.page(Filters(), 50, None), worklist.counts(Filters())),
        **{f"first page, {name}": partial(worklist.page, Filters(), 50, None, order) for name, order in orders.items()},
        f"page after {9 * count // 10:,}, urgency": lambda: worklist.page(Filters(), 50, deep),
        "first page, unread": lambda: worklist.page(Filters(read=False), 50, None),
        "first page, STAT": lambda: worklist.page(stat, 50, None),
        "first page, STAT, latest received": lambda: worklist.page(stat, 50, None, orders["latest received"]),
        "first page, ROUTINE": lambda: worklist.page(Filters(priority="ROUTINE"), 50, None),
        "first page, finding Hernia": lambda: worklist.page(hernia, 50, None),
        "first page, finding Hernia, latest received": lambda: worklist.page(
            hernia, 50, None, orders["latest received"]
        ),
        "first page, a finding of no entry": lambda: worklist.page(Filters(finding="Fracture"), 50, None),
        "search, one hit": lambda: worklist.page(Filters(q=f"a{count - 1:08d}"), 50, None),
        "search, two words": lambda: worklist.page(Filters(q="patient77 given9"), 50, None),
        "counts, no filter": lambda: worklist.counts(Filters()),
        "counts, unread": lambda: worklist.counts(Filters(read=False)),
        "counts, ROUTINE": lambda: worklist.counts(Filters(priority="ROUTINE")),
        "counts, search": lambda: worklist.counts(Filters(q="patient77")),
        "counts, finding Hernia": lambda: worklist.counts(hernia),
        "counts, finding and unread": lambda: worklist.counts(replace(hernia, read=False)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="an empty database; by default SQLite in a temporary folder")
    where.add_argument("--postgresql", action="store_true", help="a PostgreSQL server in a temporary folder")
    options = parser.parse_args()
    with opened(options.url, options.postgresql) as url:
        measure(url, options.rows)


@contextmanager
def opened(url: str | None, server: bool) -> Iterator[str]:
    """Yield the URL of an empty database."""
    if server:
        with running(*SERVER) as postgresql, postgresql.database("template1") as own:
            yield own
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield url or f"sqlite:///{Path(folder) / 'triage.sqlite'}"


def measure(url: str, count: int) -> None:
    records = Records(url)
    records.open()
    database, start = records.database, time.perf_counter()
    on_server = sa.make_url(url).get_backend_name() == "postgresql"
    (fill_server(url, count) if on_server else fill(database, count))
    print(f"{count:,} rows filled in {time.perf_counter() - start:.0f} s")
    measured = queries(Worklist(database), count, after(database, 9 * count // 10))
    measured |= searches(database, count) | {"page of records": partial(records.list, 50)}
    show(measured)
    if on_server:
        server_rows.index_texts(url)
        show({f"{name}, indexed": query for name, query in measured.items() if "search" in name or "end of" in name})
    records.close()


def show(measured: dict[str, Query]) -> None:
    for name, query in measured.items():
        print(f"{name:44}{median_ms(query):9.1f} ms", flush=True)


if __name__ == "__main__":
    main()

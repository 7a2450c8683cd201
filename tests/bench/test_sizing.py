"""What a region asks of the service, from pages written by hand."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from bench import sizing
from bench.speed.command import PAGE
from service.storage.records import Records
from service.storage.tables import CHANGES, METADATA
from tests.service.records import record

FIGURES = """
|  | clients | images a second | p50 |
| --- | --- | --- | --- |
| uncompressed | 1 | 9 | 1 ms |
| uncompressed | 8 | 4 | 1 ms |
| slow | 8 | 0.5 | 1 ms |

| uncompressed | 8 | 7 | another table |
"""


def test_figures_are_read_from_the_table_with_eight_clients() -> None:
    assert sizing.answered(FIGURES) == {"uncompressed": 4, "slow": 0.5}
    assert set(sizing.answered(PAGE.read_text())) == {"uncompressed", "JPEG-LS", "JPEG 2000", "HTJ2K"}
    assert sizing.stored(sizing.SCALE.read_text()) > 0


def test_a_region_is_worked_out_by_hand() -> None:
    options = sizing.arguments(["--hospitals", "100", "--a-day", "72", "--busiest-hour", "0.5"])
    rates, megabytes = {"uncompressed": 4.0, "slow": 0.5}, {"uncompressed": 10, "slow": 5}

    text = sizing.report(rates, 50, megabytes, options)

    # 7200 a day are 3600 in the busiest hour, one a second; slow: 1 / (0.7 x 0.5) = 2.9 replicas, and one more.
    for row in (
        "radiographs/s in the busiest hour | 1.00",
        "Mbit/s then, uncompressed | 80",
        "share of what PostgreSQL stores | 2.0 %",
        "replicas, uncompressed | 3",
        "replicas, slow | 4",
        "rows of the database, millions a year | 7.9",
        "DICOM files, TB a year, uncompressed | 26",
        "DICOM files, TB a year, slow | 13",
    ):
        assert f"| {row} |" in text


def test_a_radiograph_adds_so_many_rows_that_stay(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'triage.sqlite'}"

    def rows() -> int:
        with sa.create_engine(url).connect() as connection:
            # Changes are kept for a while only.
            kept = [each for each in METADATA.sorted_tables if each is not CHANGES]
            return sum(connection.scalar(sa.select(sa.func.count()).select_from(each)) or 0 for each in kept)

    records = Records(url)
    records.open()
    before = rows()
    for number in range(2):
        records.save(record(sop_instance_uid=f"2.25.{number}", instance_file=f"{number}.dcm"), ())
    records.close()

    assert rows() - before == 2 * sizing.ROWS


@pytest.mark.parametrize(("peak", "count"), [(0, 3), (0.7, 3), (1.4, 3), (1.5, 4)])
def test_one_replica_more_than_the_load_needs(peak: float, count: int) -> None:
    assert sizing.replicas(peak, 1) == count

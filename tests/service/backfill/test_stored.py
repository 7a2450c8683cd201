"""`triage backfill --store`: the records of an archive in the database of a service."""

import asyncio
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pyarrow import parquet

from service.prediction.pipeline import Pipeline
from service.storage.filters import Filters
from service.storage.outbox import Order, Outbox
from service.storage.worklist import Entry, Worklist
from tests.factories import dicom_bytes, noise
from tests.service.serving import settings_for

TRIAGE = Path(sys.executable).with_name("triage")


def radiograph(number: int) -> bytes:
    return dicom_bytes(noise(300, 260, seed=number), SOPInstanceUID=f"2.25.{number + 1}")


def entries(pipeline: Pipeline) -> dict[str, Entry]:
    listed, _ = Worklist(pipeline.database).page(Filters(), 100, None)
    return {entry.record.sop_instance_uid: entry for entry in listed}


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_service_has_the_records_as_read_until_their_files_arrive(
    engine: str, artefact: Path, tmp_path: Path
) -> None:
    archive, table, data = tmp_path / "archive", tmp_path / "table", tmp_path / "data"
    archive.mkdir()
    for number in range(3):
        (archive / f"{number}.dcm").write_bytes(radiograph(number))
    (archive / "lateral.dcm").write_bytes(dicom_bytes(noise(), ViewPosition="LL"))
    variables = os.environ | {"TRIAGE_MODEL__PATH": str(artefact), "TRIAGE_STORAGE__FOLDER": str(data)}
    words = [TRIAGE, "backfill", archive, table, "--engine", engine, "--store"]
    subprocess.run(words, env=variables, check=True)

    rows = {row["file"]: row for row in parquet.read_table(table).to_pylist()}
    predicted = {f"{number}.dcm": 200 for number in range(3)}
    assert {name: row["status"] for name, row in rows.items()} == predicted | {"lateral.dcm": 422}
    asyncio.run(_receive_one(Pipeline(settings_for(artefact, data), lambda _: (Order("pacs", "sr"),)), rows))


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_full_disk_ends_the_run_and_is_named(engine: str, artefact: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "1.dcm").write_bytes(radiograph(1))
    settings = {
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(tmp_path / "data"),
        "TRIAGE_STORAGE__MIN_FREE_BYTES": str(2**60),
    }
    words = [TRIAGE, "backfill", archive, tmp_path / "table", "--engine", engine, "--store"]
    done = subprocess.run(words, env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 1
    assert "triage: too little free disk space" in done.stderr


async def _receive_one(pipeline: Pipeline, rows: dict[str, dict[str, object]]) -> None:
    before = entries(pipeline)
    assert set(before) == {"2.25.1", "2.25.2", "2.25.3"}
    for number, entry in enumerate(before[uid] for uid in sorted(before)):
        assert entry.read_by == "back-fill"
        assert entry.record.prediction.priority == rows[f"{number}.dcm"]["priority"]
        assert await pipeline.stored.file(entry.record) is not None
    async with pipeline.running():
        await pipeline.started()
        for _ in range(2):
            with closing(pipeline.receive()) as file:
                file.write([radiograph(1)])
                await pipeline.predict(file)
        after = entries(pipeline)
        assert {uid: entry.read_at is None for uid, entry in after.items()} == {
            "2.25.1": False,
            "2.25.2": True,
            "2.25.3": False,
        }
        assert len(Outbox(pipeline.database).list(after["2.25.2"].record.id)) == 1
        assert after["2.25.2"].record.id == before["2.25.2"].record.id

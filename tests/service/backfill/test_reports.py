"""The structured reports that a back-fill sends."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from service.backfill import delivery, reports
from service.destinations import Destination, Sending
from service.errors import ConfigurationError, Overloaded
from service.sending import dicom_web
from service.sending.failure import SendingFailed
from service.settings import Settings
from tests.factories import dicom_bytes, noise
from tests.pacs.orthanc import free_ports, orthanc
from tests.service.conftest import Run
from tests.service.records import record

PACS = Destination(name="pacs", url="http://127.0.0.1:9/dicom-web")


def test_only_a_destination_of_the_settings_that_takes_dicom_is_chosen() -> None:
    hook = Destination(name="hook", url="http://127.0.0.1:9/", protocol="webhook", secret_file=Path("/secret"))
    settings = Settings().model_copy(update={"sending": Sending(destinations=(PACS, hook))})

    assert reports.destination_of(settings, "pacs") == PACS
    for name in ("hook", "nowhere"):
        with pytest.raises(ConfigurationError, match=f"--report-to {name}"):
            reports.destination_of(settings, name)


def test_a_report_has_the_same_id_whenever_it_is_made() -> None:
    one, again = reports.identified(record()), reports.identified(record())
    other = reports.identified(replace(record(), artefact_sha256="b" * 64))
    assert one.id == again.id != other.id
    assert len(one.id) == 32


def test_a_report_that_is_not_taken_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def store(_: Destination, __: bytes) -> None:
        raise SendingFailed("http_503")

    monkeypatch.setattr(dicom_web, "store", store)
    with pytest.raises(Overloaded, match=r"destination pacs \(http_503\)") as caught:
        asyncio.run(reports.send(PACS, b"SR"))
    assert caught.value.code == "report_unsent"


def test_the_archive_has_a_report_of_each_predicted_file(
    run: Run, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table, ports = tmp_path / "archive", tmp_path / "table", free_ports()
    folder.mkdir()
    for number in range(2):
        data = dicom_bytes(noise(300, 260, seed=number), SOPInstanceUID=f"2.25.{number + 1}")
        (folder / f"{number}.dcm").write_bytes(data)
    (folder / "lateral.dcm").write_bytes(dicom_bytes(noise(), ViewPosition="LL"))
    destination = {"name": "pacs", "url": f"http://127.0.0.1:{ports.http}/dicom-web"}
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    monkeypatch.setenv("TRIAGE_SENDING__DESTINATIONS", json.dumps([destination]))
    monkeypatch.setattr(delivery, "_PAUSES", ())
    words = ("backfill", str(folder), str(table), "--report-to", "pacs")

    code, _, err = run(*words)
    assert (code, "2 files have none yet" in err) == (1, True)  # the archive is not there yet
    with orthanc(tmp_path / "orthanc", ports) as pacs:
        for _ in range(2):
            code, _, err = run(*words)
            assert code == 0
            assert "3 files have a row" in err
            found = pacs.request("POST", "/tools/find", json={"Level": "Instance", "Query": {}, "Expand": True})
            assert len(found) == 2
            shutil.rmtree(table)  # as if the reports had been sent, and the run killed before it wrote their rows

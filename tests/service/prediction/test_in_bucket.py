"""The service with its DICOM files in a bucket: what is acknowledged is there, and an outage ends by itself."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.errors import Overloaded
from service.prediction import storage_probe
from service.settings import Limits, Settings
from service.storage import bucket
from service.storage.bucket import Bucket
from service.storage.records import Records
from tests.factories import dicom_bytes, noise
from tests.service.s3_server import S3Server
from tests.service.serving import Client, serving, settings_for

LIMITS = Limits(decode_workers=1, max_in_flight=32)


def radiograph(number: int) -> bytes:
    return dicom_bytes(noise(seed=number), SOPInstanceUID=f"2.25.88{number}")


@pytest.fixture
def settings(artefact: Path, tmp_path: Path, in_bucket: dict[str, str]) -> Settings:
    made = settings_for(artefact, tmp_path, LIMITS)
    return made.model_copy(update={"storage": made.storage.model_copy(update=in_bucket)})


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(storage_probe, "_FRESH_SECONDS", 0.0)
    with serving(settings) as running:
        yield running


def objects(server: S3Server, prefix: str) -> list[bytes]:
    return [server.read(key) for key in server.keys(prefix)]


def spooled(folder: Path) -> list[Path]:
    return [path for path in (folder / "spool").rglob("*") if path.is_file()]


def instance(client: Client, prediction: dict[str, str]) -> bytes:
    path = "/dicom-web/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"
    answer = client.get(path.format(**prediction), headers={"Accept": "application/dicom"})
    assert answer.status_code == 200, answer.text
    return answer.content


def test_what_is_acknowledged_is_in_the_bucket_and_what_is_refused_nowhere(
    client: Client, s3: S3Server, prefix: str, tmp_path: Path
) -> None:
    data = radiograph(1)
    first = client.post(data)
    again = client.post(data)
    conflict = client.post(dicom_bytes(noise(seed=9), SOPInstanceUID="2.25.881"))
    malformed = client.post(b"x")

    assert [answer.status_code for answer in (first, again, conflict, malformed)] == [200, 200, 409, 400]
    assert again.json()["id"] == first.json()["id"]
    assert objects(s3, prefix) == [data]
    assert spooled(tmp_path) == []
    assert not (tmp_path / "instances").exists()


def test_the_same_image_in_another_encoding_is_compared_with_the_one_in_the_bucket(
    client: Client, s3: S3Server, prefix: str
) -> None:
    pixels, window = noise(seed=4), {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    shift = {"PixelRepresentation": 1, "RescaleIntercept": 2048, "RescaleSlope": 1}

    def signed(offset: int) -> bytes:
        return dicom_bytes(pixels.astype(np.int16) - offset, SOPInstanceUID="2.25.884", **window, **shift)

    first = client.post(dicom_bytes(pixels, SOPInstanceUID="2.25.884", **window))
    same, other = client.post(signed(2048)), client.post(signed(2047))

    assert [answer.status_code for answer in (first, same, other)] == [200, 200, 409]
    assert same.json()["id"] == first.json()["id"]
    assert len(objects(s3, prefix)) == 1


def test_a_file_is_fetched_once_and_its_copy_deleted_with_it(
    client: Client, s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    get = Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda self, key: (fetched.append(key), get(self, key))[1])
    data = radiograph(5)
    prediction = client.post(data).json()

    assert instance(client, prediction) == data
    assert client.get(prediction["links"]["overlay"]).headers["content-type"] == "image/png"
    assert instance(client, prediction) == data
    assert len(fetched) == 1
    copies = [path for path in (tmp_path / "objects").rglob("*") if path.is_file() and data in path.read_bytes()]
    assert [path.parent.name for path in copies] == [prediction["id"]]

    assert client.request("DELETE", f"/v1/predictions/{prediction['id']}").status_code == 204
    assert objects(s3, prefix) == []
    assert not copies[0].exists()


def test_while_the_bucket_is_down_files_are_refused_and_afterwards_taken_without_a_restart(
    client: Client, s3: S3Server, prefix: str, tmp_path: Path
) -> None:
    known, data = radiograph(6), radiograph(7)
    kept = client.post(known).json()
    with s3.down():
        for _ in range(2):  # the first waits for the bucket, the second does not
            answer = client.post(data)
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "storage_unavailable")
        assert client.get("/livez").status_code == 200
        with pytest.raises(Overloaded):
            client.pipeline.storage.has_instances()
        assert client.get(f"/v1/predictions/{kept['id']}").json() == kept
        assert client.get(kept["links"]["overlay"]).status_code == 503
    assert spooled(tmp_path) == []
    assert objects(s3, prefix) == [known]

    client.wait_until_ready()
    assert client.post(data).status_code == 200
    assert sorted(objects(s3, prefix)) == sorted([known, data])
    assert instance(client, kept) == known


def test_a_bucket_that_answers_nothing_delays_only_what_needs_it(
    settings: Settings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests than a process has threads wait for the bucket; the database is asked at once."""
    asked: list[str] = []
    get = Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda self, key: (asked.append(key), get(self, key))[1])
    monkeypatch.setattr(bucket, "_SILENT_SECONDS", 60.0)
    with serving(settings) as client:
        kept = client.post(radiograph(8)).json()
        asked.clear()

        async def ask() -> list[int]:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
            with s3.frozen():
                reads = [asyncio.create_task(client.http.get(kept["links"]["overlay"])) for _ in range(8)]
                async with asyncio.timeout(30):
                    while len(asked) < len(reads):
                        await asyncio.sleep(0.01)
                    assert (await client.http.get(f"/v1/predictions/{kept['id']}")).json() == kept
                assert not any(read.done() for read in reads)
            return [answer.status_code for answer in await asyncio.gather(*reads)]

        assert set(client.runner.run(ask())) == {200}


def test_the_object_of_a_record_whose_deletion_a_stop_cancels_is_deleted_too(
    settings: Settings, s3: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, delete = threading.Event(), threading.Event(), Records.delete

    def slowly(self: Records, id: str) -> str | None:
        file = delete(self, id)
        began.set()
        assert go_on.wait(60)
        return file

    monkeypatch.setattr(Records, "delete", slowly)
    with serving(settings) as client:
        kept = client.post(radiograph(9)).json()

        async def cancelled() -> None:
            deletion = asyncio.ensure_future(client.pipeline.stored.delete(kept["id"]))
            assert await asyncio.to_thread(began.wait, 60)
            deletion.cancel()
            await asyncio.wait([deletion])
            assert deletion.cancelled()
            threading.Timer(0.3, go_on.set).start()  # meanwhile the service stops

        client.runner.run(cancelled())
    assert objects(s3, prefix) == []

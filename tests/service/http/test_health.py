import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.errors import ArtefactError
from service.http import admission
from service.http.app import create_app
from service.inference.session import Session
from service.prediction import storage_probe
from service.storage.instances import Instances
from tests import factories
from tests.service.serving import Client, client_of, serving, settings_for


def test_the_service_is_ready_after_the_self_test_and_alive_before(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove, proof = Session.prove, threading.Event()

    def wait(session: Session, max_batch: int) -> None:
        assert proof.wait(60)
        prove(session, max_batch)

    monkeypatch.setattr(Session, "prove", wait)
    monkeypatch.setattr(admission, "START_SECONDS", 0.1)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        alive, ready, posted = client.get("/livez"), client.get("/readyz"), client.post(b"x")
        proof.set()
        client.wait_until_ready()

        assert alive.json() == {"status": "alive"}
        for refused in (ready, posted):
            assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
            assert "golden self-test" in refused.json()["detail"]
            assert int(refused.headers["retry-after"]) > 0
        assert client.get("/readyz").json() == {"status": "ready"}


def test_a_request_that_comes_while_the_service_starts_waits_for_it(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a proxy, which finds a new replica before it is ready."""
    prove, proof = Session.prove, threading.Event()

    def wait(session: Session, max_batch: int) -> None:
        assert proof.wait(60)
        prove(session, max_batch)

    async def post_and_prove(client: Client, data: bytes) -> tuple[bool, httpx.Response]:
        post = client.http.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})
        answer = asyncio.create_task(post)
        await asyncio.sleep(0.3)  # long enough for a refusal
        waited = not answer.done()
        proof.set()
        return waited, await answer

    monkeypatch.setattr(Session, "prove", wait)
    monkeypatch.setattr(admission, "START_SECONDS", 60.0)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        waited, answer = client.runner.run(post_and_prove(client, factories.dicom_bytes(factories.noise())))

    assert waited
    assert answer.status_code == 200, answer.text


def test_a_failed_self_test_stays_the_reason(artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_session: Session, _max_batch: int) -> None:
        raise ArtefactError("fusion is off by 0.5")

    monkeypatch.setattr(Session, "prove", fail)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        while "off by 0.5" not in (refused := client.get("/readyz")).json()["detail"]:
            assert refused.status_code == 503

        assert client.get("/livez").status_code == 200
        assert client.post(b"x").json()["code"] == "not_ready"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no answer of storage count for the next probe."""
    monkeypatch.setattr(storage_probe, "_FRESH_SECONDS", 0.0)


@pytest.fixture
def running(artefact: Path, tmp_path: Path, fresh: None) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path)) as client:
        yield client


def unavailable(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")


def test_a_folder_of_instances_that_is_gone_is_noticed(running: Client, tmp_path: Path) -> None:
    data = factories.dicom_bytes(factories.noise())
    assert running.post(data).status_code == 200
    shutil.move(tmp_path / "instances", tmp_path / "moved")

    assert unavailable(running.get("/readyz"))
    assert unavailable(running.post(data))

    (tmp_path / "instances").mkdir()  # as where a volume was unmounted
    assert unavailable(running.get("/readyz"))
    assert unavailable(running.post(data))
    assert running.get("/livez").status_code == 200

    (tmp_path / "instances").rmdir()
    shutil.move(tmp_path / "moved", tmp_path / "instances")
    assert running.get("/readyz").status_code == 200
    assert running.post(data).status_code == 200


def test_a_database_file_that_is_deleted_is_noticed(running: Client, tmp_path: Path) -> None:
    for file in tmp_path.glob("triage.sqlite*"):
        file.unlink()

    assert unavailable(running.get("/readyz"))
    assert unavailable(running.post(factories.dicom_bytes(factories.noise())))
    assert not list((tmp_path / "instances").glob("*/*.partial"))


def test_a_database_that_is_locked_is_read_by_the_probe(running: Client, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "triage.sqlite", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert running.get("/readyz").status_code == 200
        holder.execute("ROLLBACK")


def test_storage_that_does_not_answer_is_not_waited_for(running: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    with monkeypatch.context() as stalled:
        stalled.setattr(storage_probe, "_LONGEST_SECONDS", 0.2)
        stalled.setattr(Instances, "check_present", lambda _: gate.wait(60))
        assert unavailable(running.get("/readyz"))
    gate.set()


def test_many_probes_ask_storage_once(running: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_probe, "_FRESH_SECONDS", 60.0)
    asked: list[object] = []
    monkeypatch.setattr(Instances, "check_present", lambda folder: asked.append(folder))
    running.get("/readyz")
    asked.clear()

    assert all(running.get("/readyz").status_code == 200 for _ in range(50))
    assert not asked

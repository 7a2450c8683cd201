"""What is looked up when the metrics are read."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa

from model.labels import LABELS
from service.destinations import Destination, Sending
from service.errors import Overloaded
from service.http import gauges, lookup
from service.http.app import create_app
from service.http.lookup import Lookup
from service.prediction.pipeline import Pipeline
from service.settings import Triage
from service.storage.database import Database
from service.storage.tables import WORKLIST
from tests.factories import dicom_bytes, noise
from tests.service.metered import Samples, samples, text
from tests.service.serving import Client, client_of, serving, settings_for

NOWHERE = Destination(name="pacs", url="http://127.0.0.1:9/dicom-web")


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "KEEP_SECONDS", 0.0)
        patch.setattr(lookup, "WAIT_SECONDS", 60.0)
        settings = settings_for(artefact, tmp_path_factory.mktemp("data"))
        more = {
            "triage": Triage(stat=LABELS),
            "sending": Sending(destinations=(NOWHERE,), send_all=("pacs",), pause_seconds=3600),
        }
        with serving(settings.model_copy(update=more)) as client:
            yield client


def gauge(client: Client) -> Samples:
    return samples(text(client.app.state.collectors))


def value(client: Client, name: str, **labels: str) -> float | None:
    return gauge(client).get((name, frozenset(labels.items())))


def test_what_runs_is_named(client: Client) -> None:
    artefact = client.pipeline.predictor.artefact
    names = {name: dict(labels) for name, labels in gauge(client) if name.endswith("_info")}

    assert names["triage_build_info"]["version"] == version("agcnn-triage")
    assert names["triage_artefact_info"] == {
        "name": artefact.card.name,
        "version": artefact.card.version,
        "sha256": artefact.sha256,
    }
    assert names["triage_provider_info"] == {"provider": "cpu"}


def test_ready_is_what_readyz_says(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise Overloaded("not ready: Tweety", "not_ready")

    assert value(client, "triage_ready") == 1
    monkeypatch.setattr(Pipeline, "check_ready", fail)
    assert client.get("/readyz").status_code == 503
    assert value(client, "triage_ready") == 0


def test_before_it_is_ready_there_is_no_provider(artefact: Path, tmp_path: Path) -> None:
    app = create_app(settings_for(artefact, tmp_path))
    before = samples(text(app.state.collectors))

    assert before["triage_ready", frozenset()] == 0
    assert not [name for name, _ in before if name == "triage_provider_info"]
    with client_of(app):  # which closes its database
        pass


def test_places_and_arriving_bytes(client: Client) -> None:
    places = client.pipeline.places
    assert value(client, "triage_places") == value(client, "triage_places_free") == places.count
    with places.spare(3), client.pipeline.arrivals.reserved("somebody", 1000):
        with client.pipeline.arrivals.reserved("another", 24):
            assert value(client, "triage_arriving_bytes") == 1024
        assert value(client, "triage_places_free") == places.count - 3
        assert value(client, "triage_places") == places.count
    assert value(client, "triage_arriving_bytes") == 0


def test_the_oldest_unread_stat_ages_until_it_is_read(client: Client) -> None:
    assert value(client, "triage_unread_stat_oldest_seconds") == 0
    body = client.post(dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.1")).json()
    assert body["priority"] == "STAT"
    with client.pipeline.database.write() as connection:
        earlier = connection.scalar(sa.select(WORKLIST.c.created)) - timedelta(hours=2)
        connection.execute(sa.update(WORKLIST).values(created=earlier))

    assert value(client, "triage_unread", priority="STAT") == 1
    assert value(client, "triage_unread", priority="ROUTINE") == 0
    assert value(client, "triage_unread_stat_oldest_seconds") == pytest.approx(7200, abs=300)

    assert client.request("PATCH", f"/v1/predictions/{body['id']}", json={"read": True}).status_code == 200
    assert value(client, "triage_unread", priority="STAT") == 0
    assert value(client, "triage_unread_stat_oldest_seconds") == 0


def test_the_outbox_is_seen_by_destination(client: Client) -> None:
    given_up = value(client, "triage_sends_total", destination="pacs", outcome="given_up") or 0  # by tests before
    body = client.post(dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.2")).json()

    waiting = len(client.get(f"/v1/predictions/{body['id']}/sends").json()["items"])
    assert waiting
    assert (value(client, "triage_outbox_waiting", destination="pacs") or 0) >= waiting
    assert value(client, "triage_outbox_oldest_seconds", destination="pacs") is not None
    deadline = time.monotonic() + 60
    while not value(client, "triage_sends_total", destination="pacs", outcome="not_sent"):
        client.runner.run(asyncio.sleep(0.05))
        assert time.monotonic() < deadline
    assert value(client, "triage_sends_total", destination="pacs", outcome="given_up") == given_up


def test_the_disk_is_that_of_the_storage_folder(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("size", "used", "free")
    seen = gauge(client)  # at one time, as other processes use the disk, too
    size, used, free = (seen[f"triage_storage_{name}_bytes", frozenset()] for name in names)
    assert seen["triage_storage_up", frozenset()] == 1
    assert seen["triage_storage_min_free_bytes", frozenset()] == 2**29
    assert 0 < used <= size - free  # what is reserved for root is neither
    assert free > 0

    def gone(_: object) -> None:
        raise FileNotFoundError(2, "Tweety")

    monkeypatch.setattr(gauges.shutil, "disk_usage", gone)
    assert value(client, "triage_storage_up") == 0
    assert [value(client, f"triage_storage_{name}_bytes") for name in names] == [None] * 3


def test_what_is_deleted_under_the_service_is_seen(client: Client, tmp_path: Path) -> None:
    """The open SQLite file can still be read; the disk of a deleted folder still answers."""
    folder = client.pipeline.storage._instances.folder.parent
    for name, metric in (("triage.sqlite", "triage_database_up"), ("instances", "triage_storage_up")):
        client.pipeline.storage._next = 0.0  # readyz looks once a second
        assert value(client, metric) == 1
        (folder / name).rename(tmp_path / name)
        assert value(client, metric) == 0
        assert client.get("/readyz").json()["code"] == "storage_unavailable"
        (tmp_path / name).rename(folder / name)
        assert value(client, metric) == 1
    client.pipeline.storage._next = 0.0


@pytest.mark.parametrize("hangs", [True, False])
def test_a_database_that_hangs_or_fails_hides_nothing_else(
    client: Client, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    gate = threading.Event()
    stored = client.app.state.collectors[1]._stored

    def fail(_: object) -> None:
        assert gate.wait(60)
        raise Overloaded("the database does not answer")

    def impatient() -> object:
        with monkeypatch.context() as patch:
            patch.setattr(lookup, "WAIT_SECONDS", 0.2)
            return Lookup.value(stored)

    assert value(client, "triage_database_up") == 1
    gate.clear() if hangs else gate.set()
    with monkeypatch.context() as patch:
        patch.setattr(Database, "read", fail)
        patch.setattr(stored, "value", impatient)
        seen = gauge(client)
        assert seen["triage_database_up", frozenset()] == 0
        assert seen["triage_ready", frozenset()] == 1
        assert seen["triage_storage_up", frozenset()] == 1
        assert not {name for name, _ in seen} & {"triage_unread", "triage_unread_stat_oldest_seconds"}
        gate.set()
    deadline = time.monotonic() + 60
    while value(client, "triage_database_up") != 1:
        client.runner.run(asyncio.sleep(0.05))
        assert time.monotonic() < deadline

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from service.http import events, feed
from service.settings import Limits
from service.storage.records import Records
from tests.factories import dicom_bytes, noise
from tests.postgresql import PostgreSQL
from tests.service.records import record
from tests.service.serving import Client, serving, settings_for

IDLE = 0.2


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service with one place and a short time limit for bodies; neither concerns a stream."""
    limits = Limits(decode_workers=1, max_in_flight=1, idle_seconds=IDLE)
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"), limits)) as client:
        yield client


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.02)


class Stream:
    """A request made as a server makes it, as httpx waits for the end of a response."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._received: asyncio.Queue[Message] = asyncio.Queue()
        self._disconnected = asyncio.Event()
        self._started = False

    async def __aenter__(self) -> "Stream":
        headers = [(b"host", b"localhost")]
        scope = {"type": "http", "method": "GET", "path": "/v1/events", "query_string": b"", "headers": headers}
        scope |= {"client": ("127.0.0.1", 1), "asgi": {"spec_version": "2.3"}, "http_version": "1.1"}
        self._task = asyncio.create_task(self._client.app(scope, self._receive, self._received.put))
        self.start = await self._received.get()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._disconnected.set()
        await self._task

    async def _receive(self) -> Message:
        if not self._started:
            self._started = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def parts(self) -> AsyncIterator[str]:
        async with asyncio.timeout(60):
            while (message := await self._received.get()).get("more_body"):
                yield message["body"].decode()


def post(client: Client, uid: str) -> Any:
    return client.http.post(
        "/v1/predictions",
        content=dicom_bytes(noise(), SOPInstanceUID=uid),
        headers={"Content-Type": "application/dicom"},
    )


def test_every_stream_reports_new_read_and_deleted_predictions(client: Client) -> None:
    async def work() -> None:
        async with Stream(client) as first, Stream(client) as second:
            assert first.start["status"] == 200
            headers = {name.decode(): value.decode() for name, value in first.start["headers"]}
            assert headers["content-type"] == "text/event-stream; charset=utf-8"
            assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
            assert len(headers["x-request-id"]) == 16
            streams = (first.parts(), second.parts())
            assert [await anext(stream) for stream in streams] == [": listening\n\n"] * 2
            await asyncio.sleep(2 * IDLE)

            body = (await post(client, "2.25.1")).json()  # the streams do not take the one place
            await client.http.patch(body["links"]["self"], json={"read": True})
            await client.http.delete(body["links"]["self"])

            for stream in streams:
                for kind in ("new", "read", "deleted"):
                    name, data = (await anext(stream)).strip().split("\n")
                    assert name == "event: changed"
                    priority = None if kind == "deleted" else body["priority"]
                    expected = {"id": body["id"], "kind": kind, "priority": priority}
                    assert json.loads(data.removeprefix("data: ")) == expected

    client.runner.run(work())


@pytest.mark.postgresql
def test_a_change_by_another_replica_is_reported_at_once(
    artefact: Path, tmp_path: Path, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the poll, which finds what was not heard."""
    monkeypatch.setattr(feed, "POLL_SECONDS", 3600.0)
    with postgresql.database() as url:
        replica = Records(url)
        with serving(settings_for(artefact, tmp_path, url=url)) as client:

            async def work() -> None:
                async with Stream(client) as stream:
                    parts = stream.parts()
                    assert await anext(parts) == ": listening\n\n"
                    saved = await asyncio.to_thread(replica.save, record(priority="HIGH"))
                    name, data = (await anext(parts)).strip().split("\n")
                    assert name == "event: changed"
                    assert json.loads(data.removeprefix("data: "))["id"] == saved.id

            client.runner.run(work())
        replica.close()


def test_a_silent_stream_has_a_heartbeat(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.02)

    async def work() -> None:
        async with Stream(client) as stream:
            parts = stream.parts()
            assert [await anext(parts) for _ in range(3)] == [": listening\n\n", *[": still here\n\n"] * 2]

    client.runner.run(work())


def test_a_stream_ends_after_its_lifetime(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(events, "LIFE_SECONDS", 0.1)

    async def work() -> None:
        async with Stream(client) as stream:
            parts = [part async for part in stream.parts()]
            assert parts[0] == ": listening\n\n"
            assert set(parts[1:]) <= {": still here\n\n"}

    client.runner.run(work())


def test_a_client_that_disconnects_is_removed(client: Client) -> None:
    async def work() -> None:
        async with Stream(client) as stream:
            await anext(stream.parts())
            assert len(client.app.state.feed._listeners) == 1
        assert not client.app.state.feed._listeners

    client.runner.run(work())


def test_too_many_listeners_are_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_LISTENERS", 0)
    refused = client.get("/v1/events")

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_listeners")
    assert refused.headers["retry-after"] == "5"

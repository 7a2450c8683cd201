"""Answers of several files: what takes a place for files, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message

from service.dicom_web import answer as module
from service.dicom_web.answer import Stream, multipart
from service.dicom_web.encodings import EXPLICIT, Encoding
from service.errors import Overloaded
from service.prediction.admission import Places

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.3"}, "headers": []}


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def files(places: Places, free: list[int]) -> AsyncIterator[bytes]:
    for content in (b"one", b"two", b"three"):
        free.append(places.free)
        yield content


def stream(places: Places, free: list[int]) -> Stream:
    catalogue: Any = SimpleNamespace(admitted=places.taken, places=places)
    return Stream(catalogue, files(places, free), "text/plain", {})


def test_a_file_takes_a_place_while_it_is_made_and_not_while_it_is_sent() -> None:
    places = Places(2)
    made: list[int] = []
    sent: list[int] = []

    async def send(message: Message) -> None:
        if message.get("body"):
            sent.append(places.free)

    asyncio.run(stream(places, made)(SCOPE, never, send))

    assert made == [1, 1, 1]
    assert sent == [2, 2, 2]


def test_a_client_that_does_not_read_takes_no_place() -> None:
    places = Places(1)

    async def stalled(message: Message) -> None:
        if message.get("body"):
            await never()

    async def serve() -> None:
        async with asyncio.timeout(60):
            task = asyncio.create_task(stream(places, [])(SCOPE, never, stalled))
            await asyncio.sleep(0.1)
            with places.taken():
                pass
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(serve())
    assert places.free == 1


def test_without_a_free_place_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PLACE_SECONDS", 0.1)
    places = Places(1)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with places.taken(), pytest.raises(Overloaded):
        asyncio.run(stream(places, [])(SCOPE, never, send))
    assert sent == []


def test_several_contents_are_sent_one_after_another() -> None:
    response = multipart(Encoding("image/jls", EXPLICIT), [b"first", b"second"], {"ETag": '"e"'})
    pieces: list[bytes] = []

    async def send(message: Message) -> None:
        pieces.append(message.get("body", b""))

    asyncio.run(response(SCOPE, never, send))

    body = b"".join(pieces)
    assert int(response.headers["content-length"]) == len(body)
    assert body.count(b"--e\r\n") == 2
    assert body.endswith(b"\r\nsecond\r\n--e--\r\n")
    assert b"first" in pieces, "a content is not copied into a larger piece"

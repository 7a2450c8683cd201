"""The outermost layer: bounds on the body, and the deadline of its parts."""

import asyncio
import json

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.http.envelope import Envelope
from service.settings import Limits


async def _swallow(scope: Scope, receive: Receive, send: Send) -> None:
    """Take the body in, then wait until the client leaves."""
    await Request(scope, receive).body()
    await receive()
    await Response()(scope, receive, send)


async def _answer(messages: list[Message], stall: float, every: float = 0, **limits: float) -> list[Message]:
    """Send all messages but the last `every` so many seconds and the last after `stall`; what is answered."""
    waiting, answered = list(messages), []

    async def receive() -> Message:
        await asyncio.sleep(every if len(waiting) > 1 else stall)
        return waiting.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    await Envelope(_swallow, Limits(**{"idle_seconds": 0.1} | limits))(scope, receive, send)
    return answered


@pytest.mark.parametrize("parts", [0, 3])
def test_an_upload_that_stops_is_given_up(parts: int) -> None:
    sent: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}] * parts

    start, body = asyncio.run(_answer([*sent, {"type": "http.request"}], stall=60))

    assert (start["status"], json.loads(body["body"])["code"]) == (408, "upload_idle")


def test_a_client_that_waits_for_its_answer_is_no_idle_upload() -> None:
    start, _ = asyncio.run(_answer([{"type": "http.request", "body": b"x"}, {"type": "http.disconnect"}], stall=0.3))

    assert start["status"] == 200


@pytest.mark.parametrize("limits", [{"min_bytes_per_second": 1000}, {"min_bytes_per_second": 1, "read_seconds": 0.3}])
def test_a_body_that_trickles_in_is_given_up(limits: dict[str, float]) -> None:
    """Each part arrives within the idle time, but a thousand of them would take half a minute."""
    sent: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}] * 1000

    start, body = asyncio.run(_answer(sent, stall=60, every=0.03, **limits))

    assert (start["status"], json.loads(body["body"])["code"]) == (408, "upload_idle")


def test_a_body_that_is_slow_but_fast_enough_is_taken() -> None:
    sent: list[Message] = [{"type": "http.request", "body": 1000 * b"x", "more_body": True}] * 10
    end: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]

    start, _ = asyncio.run(_answer([*sent, *end], stall=0, every=0.05, min_bytes_per_second=1000, idle_seconds=60))

    assert start["status"] == 200


def _cancelled(begin: bool) -> list[Message]:
    """Cancel a request, as uvicorn does when a stop has taken too long; return what is answered."""
    answered: list[Message] = []

    async def send(message: Message) -> None:
        answered.append(message)

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        if begin:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    async def main() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
        request = asyncio.ensure_future(Envelope(busy, Limits())(scope, asyncio.Event().wait, send))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        request.cancel()
        await asyncio.wait([request])
        assert request.cancelled()

    asyncio.run(main())
    return answered


def test_a_request_that_a_stop_cancels_is_answered_503() -> None:
    start, body = _cancelled(begin=False)
    headers = dict(start["headers"])

    assert (start["status"], headers[b"content-type"]) == (503, b"application/problem+json")
    assert (headers[b"retry-after"], headers[b"cache-control"]) == (b"5", b"no-store")
    assert json.loads(body["body"])["code"] == "overloaded"


def test_an_answer_that_a_stop_cancels_in_its_middle_is_not_answered_twice() -> None:
    assert [message["type"] for message in _cancelled(begin=True)] == ["http.response.start"]

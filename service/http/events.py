"""What changes, as it changes: server-sent events for the worklist."""

import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from service.http.auth import needs
from service.http.dependencies import FeedDep
from service.http.feed import Feed
from service.http.problems import RESPONSES

router = APIRouter(tags=["worklist"], responses=RESPONSES)

BEAT_SECONDS = 15.0  # proxies close what is silent for long
LIFE_SECONDS = 600.0  # then the client comes again, and its key is looked at again
MEDIA_TYPE = "text/event-stream"
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}


@router.get("/v1/events", dependencies=[needs("read")], response_class=StreamingResponse, responses=_STREAM)
async def events(feed: FeedDep) -> StreamingResponse:
    """Tell what changes on the worklist, of every replica on the database, as server-sent events.

    `event: changed`, with `data` of JSON: `id`, `kind` (`new`, `read`, `deleted`) and `priority`. A comment line comes
    at once, when everything that changes from then on will be told, and every 15 s. The stream ends after ten minutes,
    when the service stops, and when the client does not keep up: connect again and ask for the list anew.
    """
    stream = _stream(feed)
    first = await anext(stream)  # raises what is refused before an answer is begun
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx hands it on at once
    return StreamingResponse(_after(first, stream), media_type=MEDIA_TYPE, headers=headers)


async def _after(first: str, stream: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for part in stream:
        yield part


async def _stream(feed: Feed) -> AsyncIterator[str]:
    until = monotonic() + LIFE_SECONDS
    async with feed.listening() as listener:
        yield ": listening\n\n"
        while monotonic() < until:
            try:
                change = await listener.next(BEAT_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if change is None:
                return
            told = {"id": change.id, "kind": change.kind, "priority": change.priority}
            yield f"event: changed\ndata: {json.dumps(told)}\n\n"

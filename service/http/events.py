"""Server-sent events about changes of the worklist."""

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

BEAT_SECONDS = 15.0  # proxies close connections that are silent for long
LIFE_SECONDS = 600.0  # then the client reconnects and its key is checked again
MEDIA_TYPE = "text/event-stream"
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}


@router.get("/v1/events", dependencies=[needs("read")], response_class=StreamingResponse, responses=_STREAM)
async def events(feed: FeedDep) -> StreamingResponse:
    """Stream the changes of the worklist, by all replicas on the database, as server-sent events.

    Each is an `event: changed` with JSON `data`: `id`, `kind` (`new`, `read`, `acknowledged`, `measured`, `deleted`)
    and `priority`. A comment line comes at the start, from which on every change is reported, and every 15 s. The
    stream ends after ten minutes, when the service stops, and when the client does not keep up: then connect again and
    reload the list.
    """
    stream = _stream(feed)
    first = await anext(stream)  # a refusal is raised before the response starts
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx does not buffer it
    return StreamingResponse(_chain(first, stream), media_type=MEDIA_TYPE, headers=headers)


async def _chain(first: str, stream: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for part in stream:
        yield part


async def _stream(feed: Feed) -> AsyncIterator[str]:
    end = monotonic() + LIFE_SECONDS
    async with feed.listening() as listener:
        yield ": listening\n\n"
        while monotonic() < end:
            try:
                change = await listener.next(BEAT_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if change is None:
                return
            data = {"id": change.id, "kind": change.kind, "priority": change.priority}
            yield f"event: changed\ndata: {json.dumps(data)}\n\n"

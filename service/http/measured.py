"""Counts and times every request, by its route: the client chooses the path, which may hold anything."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.http.envelope import METHODS


class Measured:
    """ASGI middleware around the envelope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start = 0, time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in METHODS else "other"
        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            metrics.REQUESTS.labels(route, method, str(status or "none")).inc()
            metrics.REQUEST_SECONDS.labels(route).observe(time.perf_counter() - start)

"""Counts, times and traces every request, by its route: the client chooses the path, which may hold anything."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.http.envelope import METHODS
from service.traces import Attributes, Traces

_UNTRACED = ("/livez", "/readyz")


class Measured:
    """ASGI middleware around the envelope."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].endswith(_UNTRACED):
            await self._measured(scope, receive, send, {})
        else:
            with self._traces.request() as attributes:
                await self._measured(scope, receive, send, attributes)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, attributes: Attributes) -> None:
        status, start = 0, time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                attributes["request_id"] = dict(message["headers"]).get(b"x-request-id", b"").decode()
            await send(message)

        method = scope["method"] if scope["method"] in METHODS else "other"
        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            metrics.REQUESTS.labels(route, method, str(status or "none")).inc()
            metrics.REQUEST_SECONDS.labels(route).observe(time.perf_counter() - start)
            attributes |= {"http.request.method": method, "http.route": route, "http.response.status_code": status}

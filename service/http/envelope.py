"""The outermost ASGI layer: request id, bounds on the body, security headers, a log line, an answer to every error."""

import asyncio
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import telemetry
from service.errors import Overloaded, TooLarge, UnsupportedEncoding, UploadIdle
from service.http import problems
from service.http.pace import Pace
from service.settings import Limits

STORE = "/dicom-web/studies"  # bodies of this route hold many files and are never held whole
# The forms that proxies generate, and no other: a patient ID or accession number would fit a looser rule and be logged.
_ID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# For every answer but pages, which set their own.
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SAFE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PROBES = ("/livez", "/readyz")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def declared_length(scope: Scope) -> int:
    """Return the Content-Length of a request, 0 where it is missing or not a number."""
    value = Headers(scope=scope).get("content-length", "")
    return int(value) if value.isdecimal() and len(value) < 20 else 0


def _is_encoded(scope: Scope) -> bool:
    """Whether a request has a body in a content coding such as gzip; nothing is inflated (RFC 9110 8.4)."""
    coding = Headers(scope=scope).get("content-encoding", "").strip().lower()
    return scope["method"] in ("POST", "PUT", "PATCH") and coding not in ("", "identity")


class Envelope:
    """ASGI middleware around every request.

    Parameters
    ----------
    limits
        Bounds on the body: its size, and how long it may take.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._max_body_bytes, self._max_store_bytes = limits.max_body_bytes, limits.max_store_bytes
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        exchange = Exchange(scope, send, request_id)

        async def refuse(error: Exception) -> None:
            problems.note(error)
            if not exchange.status:
                await problems.answer(error)(scope, receive, exchange.send)

        with telemetry.request(request_id):
            try:
                await self._app(scope, self._bounded(scope, receive), exchange.send)
            except asyncio.CancelledError:  # the service stops, and the time for what is in progress is over
                if not exchange.status:
                    await refuse(Overloaded("the service is stopping; send it again"))
                raise
            except ClientDisconnect:
                telemetry.log().info("the client disconnected")
            except Exception as error:
                await refuse(error)
            finally:
                exchange.log()

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        declared, encoded = declared_length(scope), _is_encoded(scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        limit = self._max_store_bytes if path.startswith(STORE) else self._max_body_bytes
        more = True
        pace = Pace(self._limits.idle_seconds, self._limits.min_bytes_per_second, self._limits.read_seconds)

        async def bounded() -> Message:
            nonlocal more
            if encoded:
                raise UnsupportedEncoding(
                    "Content-Encoding must be absent or identity; send the body uncompressed", "unsupported_media_type"
                )
            # After the last part, what comes next is the end of the connection, for which there is no deadline.
            message = {} if declared > limit else await (_next(receive, pace) if more else receive())
            pace.moved += len(message.get("body", b""))
            more = message.get("more_body", False)
            if max(declared, pace.moved) > limit:
                raise TooLarge(f"the body must not be larger than {limit} bytes", "body_too_large")
            return message

        return bounded


async def _next(receive: Receive, pace: Pace) -> Message:
    """Return the next part of a body."""
    try:
        with pace.waiting():
            async with asyncio.timeout(pace.left):
                return await receive()
    except TimeoutError:
        raise UploadIdle(
            f"the body arrives too slowly: expected a part every {pace.idle_seconds:g} s, "
            f"{pace.bytes_per_second} bytes a second on average, and all within {pace.total_seconds:g} s; send it again"
        ) from None


class Exchange:
    """One answer: adds its headers, and logs it."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope, self._send, self._request_id = scope, send, request_id
        self._start = time.perf_counter()
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send a message, with the headers of every answer added."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            for name, value in SAFE_HEADERS.items():
                headers.setdefault(name, value)
        elif self._scope["method"] == "HEAD":  # an error's answer has a body, too
            message = {**message, "body": b""}
        await self._send(message)

    def log(self) -> None:
        """Log the request, unless it is a probe, by its route: the client chooses the path, which may hold anything."""
        route = getattr(self._scope.get("route"), "path", None)
        if route in _PROBES:
            return
        key = self._scope.get("state", {}).get("key")
        telemetry.log().info(
            "request",
            **({"key": key} if key else {}),
            method=self._scope["method"] if self._scope["method"] in METHODS else "other",
            route=route,
            status=self.status,
            ms=round(1e3 * (time.perf_counter() - self._start), 1),
        )


def _request_id(headers: Headers) -> str:
    value = headers.get("x-request-id", "")
    return value if _ID.fullmatch(value) else secrets.token_hex(8)

"""The REST interface put together: routes, errors, and what every answer carries."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import telemetry
from service.dicom_web import rendered, retrieve, search, store
from service.dicom_web.catalogue import Catalogue
from service.errors import TooLarge, UploadIdle
from service.http import (
    auth,
    documentation,
    events,
    health,
    model_card,
    objects,
    page,
    pixels,
    predictions,
    problems,
    sends,
    worklist,
)
from service.http.feed import Feed
from service.objects.kinds import Kind
from service.objects.overlay import NOTICE
from service.objects.report import REPOSITORY
from service.prediction.pipeline import Pipeline
from service.sending.sender import Render, Sender, orders_for_new_records
from service.settings import Limits, Settings
from service.storage.changes import Changes
from service.storage.keys import Keys
from service.storage.outbox import Outbox
from service.storage.worklist import Worklist

STORE = "/dicom-web/studies"  # the route whose bodies hold many files and are never held whole
# As proxies make them, and no wider: a patient's or an accession number fits any looser rule, and it goes into the log.
_ID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DESCRIPTION = f"Chest X-ray triage with an attention-guided CNN. **{NOTICE}** [README]({REPOSITORY}#readme)"

# For what is no page; a page brings its own.
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

ROUTERS = (
    *(module.router for module in (predictions, objects, sends, pixels, worklist, events)),
    *(module.router for module in (store, search, retrieve, rendered)),
    *(module.router for module in (model_card, health, page, documentation)),
)


def create_app(settings: Settings) -> FastAPI:
    """Create the application from its parts; its lifespan starts the decoders and the network.

    Raises
    ------
    ArtefactError, ConfigurationError
        As `Pipeline`.
    """
    pipeline = Pipeline(settings, orders_for_new_records(settings.sending))
    keys = Keys(pipeline.database)
    feed = Feed(Changes(pipeline.database))
    sender = Sender(Outbox(pipeline.database), _renderer(pipeline), settings.sending)
    guard = auth.Guard(keys, settings.http, settings.limits)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with pipeline.running():
            tasks = [asyncio.create_task(guard.remind()), asyncio.create_task(_send(pipeline, sender))]
            try:
                yield
            finally:
                feed.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="AG-CNN triage",
        version=version("agcnn-triage"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # `documentation` serves it without a public server
        redoc_url=None,
        redirect_slashes=False,  # a redirect would echo the client's path and query
    )
    app.state.pipeline, app.state.guard, app.state.limits = pipeline, guard, settings.limits
    app.state.keys, app.state.feed, app.state.sender = keys, feed, sender
    app.state.worklist, app.state.catalogue = Worklist(pipeline.database), Catalogue(pipeline)
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    app.add_middleware(Envelope, limits=settings.limits)
    return app


def _renderer(pipeline: Pipeline) -> Render:
    async def render(id: str, kind: Kind) -> bytes:
        return await pipeline.stored.render(await pipeline.stored.get(id), kind)

    return render


async def _send(pipeline: Pipeline, sender: Sender) -> None:
    """Send until cancelled, once the pipeline has started and objects can be rendered."""
    await pipeline.started()
    await sender.run()


class Envelope:
    """Around every request: an id, bounds on the body, safe headers, a line in the log, an answer come what may."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._max_body_bytes, self._max_store_bytes = limits.max_body_bytes, limits.max_store_bytes
        self._idle_seconds = limits.idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        exchange = Exchange(scope, send, request_id)
        with telemetry.request(request_id):
            try:
                await self._app(scope, self._bounded(scope, receive), exchange.send)
            except ClientDisconnect:
                telemetry.log().info("the client went away")
            except Exception as error:
                problems.note(error)
                if not exchange.status:
                    await problems.answer(error)(scope, receive, exchange.send)
            finally:
                exchange.log()

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        declared = Headers(scope=scope).get("content-length", "0")
        expected = int(declared) if declared.isdecimal() else 0
        limit = self._max_store_bytes if scope["path"].startswith(STORE) else self._max_body_bytes
        received, more = 0, True

        async def bounded() -> Message:
            nonlocal received, more
            message = await self._next(receive, more) if expected <= limit else {}
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            if max(expected, received) > limit:
                raise TooLarge(f"a body of at most {limit} bytes wanted", "body_too_large")
            return message

        return bounded

    async def _next(self, receive: Receive, more: bool) -> Message:
        """Wait for the rest of a body as long as the limit; for what follows it, that the client leaves, for ever."""
        try:
            async with asyncio.timeout(self._idle_seconds if more else None):
                return await receive()
        except TimeoutError:
            raise UploadIdle(f"nothing of the body came for {self._idle_seconds:g} s; send it again") from None


class Exchange:
    """One answer on its way out."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope, self._send, self._request_id = scope, send, request_id
        self._start = time.perf_counter()
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on, its headers completed."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers.setdefault("Content-Security-Policy", _NOTHING)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    def log(self) -> None:
        """Write the line, but for probes; the route instead of the path, which a client may have put anything into."""
        route = getattr(self._scope.get("route"), "path", None)
        if route in _PROBES:
            return
        key = self._scope.get("state", {}).get("key")
        telemetry.log().info(
            "request",
            **({"key": key} if key else {}),
            method=self._scope["method"] if self._scope["method"] in _METHODS else "other",
            route=route,
            status=self.status,
            ms=round(1e3 * (time.perf_counter() - self._start), 1),
        )


_PROBES = ("/livez", "/readyz")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _request_id(headers: Headers) -> str:
    sent = headers.get("x-request-id", "")
    return sent if _ID.fullmatch(sent) else secrets.token_hex(8)

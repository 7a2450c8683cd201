"""Admission before the body: a request is authenticated and authorised before a byte of its body is read.

FastAPI reads and parses a JSON body before it runs the dependencies of a route. This layer in front of FastAPI finds
the route, checks the key and the scope that `needs` declares on it, and only then allows the body to be read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import TooLarge
from service.http.auth import OPEN, Guard, declared_scopes
from service.http.envelope import declared_length

MAX_JSON_BYTES = 2**16
START_SECONDS = 10.0  # that a request waits for the start; the self-test takes half a second, on a GPU some more


class Admission:
    """ASGI middleware that admits requests.

    Requests for open routes, unknown paths and methods that are not allowed pass, but their body cannot be read. Others
    wait for the service to start: a proxy that balances replicas may know a new one before it is ready.

    Parameters
    ----------
    routes
        Every route of the application, in order.
    started
        Waits until the service has started or failed to.

    Raises
    ------
    ValueError
        A route neither declares exactly one scope nor is open.
    """

    def __init__(
        self, app: ASGIApp, guard: Guard, routes: Iterable[BaseRoute], started: Callable[[], Awaitable[None]]
    ) -> None:
        self._app, self._guard, self._started = app, guard, started
        self._routes = [(route, _scopes(route)) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises
        ------
        Unauthenticated, Forbidden, RateLimited, TooLarge
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route, scopes = self._match(scope)
        if not scopes:
            await self._app(scope, _refuse_to_read, send)
            return
        scope["route"] = route  # logged also where the request is refused
        await self._guard.admit(Request(scope), scopes)
        if getattr(route, "body_field", None) is not None:  # FastAPI would read and parse the body
            receive = await _buffer_body(scope, receive)
        with suppress(TimeoutError):  # the route then says why it is not ready
            async with asyncio.timeout(START_SECONDS):
                await self._started()
        await self._app(scope, receive, send)

    def _match(self, scope: Scope) -> tuple[BaseRoute | None, frozenset[str]]:
        """Return the route that will serve a request, and its scopes."""
        for route, scopes in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return route, scopes
        return None, frozenset()


def _scopes(route: BaseRoute) -> frozenset[str]:
    path = getattr(route, "path", "")
    scopes = declared_scopes(route.dependencies) if isinstance(route, APIRoute) else frozenset()
    if len(scopes) != (0 if path in OPEN else 1):
        raise ValueError(f"the route {path!r} must either declare one scope or be listed as open")
    return scopes


async def _refuse_to_read() -> Message:
    raise RuntimeError("the body of a request that was not admitted must not be read")


async def _buffer_body(scope: Scope, receive: Receive) -> Receive:
    """Receive a whole body within `MAX_JSON_BYTES`; return a `receive` that replays it.

    Raises
    ------
    TooLarge
        Content-Length, or the body itself, exceeds the limit.
    """
    _check_size(declared_length(scope))
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        _check_size(len(body))
        more = message.get("more_body", False)
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _check_size(size: int) -> None:
    if size > MAX_JSON_BYTES:
        raise TooLarge(f"the body must not be larger than {MAX_JSON_BYTES} bytes", "body_too_large")

"""HEAD, OPTIONS and 405 for every resource, RFC 9110 9.3.2, 9.3.7 and 15.5.6: routes declare only what they serve."""

from collections.abc import Iterable

from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problems import method_not_allowed


class Methods:
    """ASGI middleware: HEAD is served as GET without a body, OPTIONS and refused methods name what is allowed.

    Parameters
    ----------
    routes
        Every route of the application, in order. Several may share a path, each with one method.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app, self._routes = app, tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        allowed = self._allowed(scope) if scope["type"] == "http" else ()
        if not allowed or (scope["method"] in allowed and scope["method"] not in ("HEAD", "OPTIONS")):
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD" in allowed:
            await self._head(scope, receive, send)
        else:
            headers = {"Allow": ", ".join(allowed)}
            answer = Response(status_code=204) if scope["method"] == "OPTIONS" else method_not_allowed()
            answer.headers.update(headers)
            await answer(scope, receive, send)

    def _allowed(self, scope: Scope) -> tuple[str, ...]:
        """Return the methods of the resource at a path; none if there is no such resource."""
        methods = set[str]()
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE:
                methods |= getattr(route, "methods", None) or set()
        if "GET" in methods:
            methods.add("HEAD")
        return tuple(sorted(methods | {"OPTIONS"})) if methods else ()

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})  # shared with the request served below, as the log names its key
        served = {**scope, "method": "GET"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["route"] = served.get("route")
                await send(message)
            elif message["type"] == "http.response.body":
                await send({"type": "http.response.body", "body": b""})
                raise _HeadSent  # what follows may take long, or never end

        try:
            await self._app(served, receive, send_head)
        except _HeadSent:
            pass
        finally:
            scope["route"] = served.get("route")


class _HeadSent(Exception):
    """Ends the making of a body that nobody reads."""

"""What a reverse proxy changed of a request: the client's address, the scheme, and the path above the service.

The address and the scheme are those of `X-Forwarded-For` and `X-Forwarded-Proto`, the root path is that of
`X-Forwarded-Prefix`, but only if a trusted proxy sent them; else the root path is the setting.
"""

import re
from collections.abc import Sequence
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.http_settings import ROOT_PATH

_current: ContextVar[str] = ContextVar("root_path", default="")


def root_path() -> str:
    """Return the path above the service in the request in progress, as in `/triage`; empty at the root."""
    return _current.get()


class Forwarded:
    """ASGI middleware in front of all other.

    Parameters
    ----------
    root_path
        Path under which a proxy serves the service.
    proxies
        Addresses and networks of the trusted proxies; `*` trusts everybody.
    """

    def __init__(self, app: ASGIApp, root_path: str, proxies: Sequence[str]) -> None:
        self._root_path = root_path
        self._app = ProxyHeadersMiddleware(app, list(proxies))  # type: ignore[arg-type]  # uvicorn has ASGI types of its own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its path may have the root path in front or not, as proxies may strip it."""
        if scope["type"] == "http":
            root = self._root(scope)
            _current.set(root)
            path = scope["path"] if f"{scope['path']}/".startswith(f"{root}/") else root + scope["path"]
            scope = {**scope, "root_path": root, "path": path}
        await self._app(scope, receive, send)  # type: ignore[arg-type]

    def _root(self, scope: Scope) -> str:
        client = scope.get("client")
        prefix = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
        trusted = client is not None and client[0] in self._app.trusted_hosts
        return prefix if trusted and prefix and re.fullmatch(ROOT_PATH, prefix) else self._root_path

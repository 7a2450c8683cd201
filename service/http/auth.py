"""Who may ask for what: keys with scopes, checked on every route that does not say it is open.

A key comes as `Authorization: Bearer KEY`. No key is asked for where the address *listened on* is loopback. What stands
in front is not seen: behind a reverse proxy on the same machine, set `TRIAGE_HTTP__KEYS=always`.

Without keys on loopback, a request must name this machine in `Host`, and in `Origin` where a browser sends one. Else
any web page that a person on this machine visits could reach the service through the browser (DNS rebinding, forms). A
proxy that hands on the `Host` it was asked for is refused by that, too.
"""

import asyncio
import ipaddress
import math
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from service.errors import Forbidden, RateLimited, Unauthenticated
from service.http.rate_limit import RateLimit
from service.settings import Http, Limits
from service.storage.keys import Key, Keys, Scope
from service.telemetry import log

REMINDER_SECONDS = 60.0
OPEN = frozenset(  # tell nothing of anybody, and cost nothing
    {"/", "/web/{path:path}", "/livez", "/readyz", "/openapi.json"}
    | {"/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"}
)

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key, as `triage keys add` makes it; not asked for where the service listens on loopback.",
)


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine reaches; of names, only `localhost`."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def requires_keys(http: Http) -> bool:
    """Whether a service that listens there wants a key."""
    return http.keys == "always" or (http.keys == "auto" and not is_loopback(http.host))


class Guard:
    """Lets a request in, or not.

    Parameters
    ----------
    keys
        Keys of clients.
    http, limits
        Whether keys are asked for, and how many requests one client may make.
    """

    def __init__(self, keys: Keys, http: Http, limits: Limits) -> None:
        self._keys = keys
        self._asks = requires_keys(http)
        self.insecure = http.keys == "never"
        self._rate = RateLimit(limits.requests_per_second, limits.requests_burst)

    async def admit(self, request: Request, token: str | None, scopes: list[str]) -> Key | None:
        """Pass who may; give the key, if one is asked for.

        Raises
        ------
        Unauthenticated, Forbidden, RateLimited
        """
        if not self._asks:
            self._spend(_address(request))
            if not self.insecure:
                _check_local(request)
            return None
        key = await asyncio.to_thread(self._keys.find, token) if token else None
        # A key has a bucket of its own: strangers at the same address, as behind a proxy, cannot empty it.
        self._spend(f"key {key.name}" if key else _address(request))
        if key is None:
            raise Unauthenticated(
                "the key is unknown or revoked" if token else "wanted a key, as in Authorization: Bearer KEY",
                "unknown_key" if token else None,
            )
        if missing := sorted(set(scopes) - key.scopes):
            raise Forbidden(f"the key lacks the scope {', '.join(missing)}", "missing_scope")
        return key

    async def remind(self) -> None:
        """Warn every minute, until cancelled, where keys are switched off."""
        while self.insecure:
            log().warning("insecure: no key is asked for, whoever reaches this address may read and delete everything")
            await asyncio.sleep(REMINDER_SECONDS)

    def _spend(self, client: str) -> None:
        if wait := self._rate.spend(client):
            error = RateLimited("too many requests of one client")
            error.retry_after_s = math.ceil(wait)
            raise error


def needs(scope: Scope) -> Any:
    """Declare the scope of a route: `dependencies=[needs("read")]`."""
    return Security(_admit, scopes=[scope])


async def _admit(
    request: Request, scopes: SecurityScopes, sent: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> None:
    guard: Guard = request.app.state.guard
    key = await guard.admit(request, sent.credentials if sent else None, scopes.scopes)
    request.state.key = key and key.name


def _address(request: Request) -> str:
    return f"address {request.client.host}" if request.client else "address"


def _check_local(request: Request) -> None:
    for header, prefix in (("host", "//"), ("origin", "")):
        sent = request.headers.get(header)
        if sent is not None and not _names_loopback(prefix + sent):
            raise Forbidden(
                f"the header {header.title()} names another machine; TRIAGE_HTTP__KEYS=always serves others, with keys",
                "foreign_host",
            )


def _names_loopback(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False

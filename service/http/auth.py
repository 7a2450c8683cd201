"""Authentication and authorisation: keys with scopes, required on every route that is not listed as open.

A client sends its key as `Authorization: Bearer KEY`. No key is required where the service *listens* on a loopback
address. It cannot know what is in front of it: behind a reverse proxy on the same machine, set
`TRIAGE_HTTP__KEYS=always`.

Without keys on loopback, `Host` must name this machine, and so must `Origin` where a browser sends it, unless
`TRIAGE_HTTP__CORS_ORIGINS` lists it. Otherwise any web page that a person on this machine visits could reach the
service through the browser (DNS rebinding, forms). This also refuses a proxy that forwards the `Host` of the original
request.
"""

import asyncio
import ipaddress
import math
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Request, Security, params
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from service.errors import Forbidden, RateLimited, Unauthenticated
from service.http.rate_limit import RateLimit
from service.http_settings import Http
from service.settings import Limits
from service.storage.keys import Key, Keys, Scope
from service.telemetry import log

REMINDER_SECONDS = 60.0
OPEN = frozenset(  # hold no patient data, and cost next to nothing
    {"/", "/statistics", "/web/{path:path}", "/livez", "/readyz", "/openapi.json"}
    | {"/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"}
)

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key made by `triage keys add`; not required where the service listens on loopback.",
)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address; the only name that counts is `localhost`."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def requires_keys(http: Http) -> bool:
    """Return whether a service with these settings requires keys."""
    return http.keys == "always" or (http.keys == "auto" and not is_loopback(http.host))


class Guard:
    """Checks keys, scopes and request rates.

    Parameters
    ----------
    keys
        Keys of the clients.
    http, limits
        Whether keys are required, and how many requests one client may make.
    """

    def __init__(self, keys: Keys, http: Http, limits: Limits) -> None:
        self._keys = keys
        self._required = requires_keys(http)
        self._origins = frozenset(http.cors_origins)
        self.insecure = http.keys == "never"
        self._rate = RateLimit(limits.requests_per_second, limits.requests_burst)

    async def admit(self, request: Request, scopes: frozenset[str]) -> None:
        """Admit a request to a route with these scopes; sets `request.state.key`, the name of the key, and `scopes`.

        Raises
        ------
        Unauthenticated, Forbidden, RateLimited
        """
        credentials = await _BEARER(request)
        key = await self._check(request, credentials.credentials if credentials else None, scopes)
        request.state.key = key and key.name
        request.state.scopes = scopes

    async def _check(self, request: Request, token: str | None, scopes: frozenset[str]) -> Key | None:
        if not self._required:
            self._spend(_address(request))
            if not self.insecure:
                _check_local(request, self._origins)
            return None
        key = await asyncio.to_thread(self._keys.find, token) if token else None
        # Each key has its own bucket, so that other clients at the same address, as behind a proxy, cannot empty it.
        self._spend(f"key {key.name}" if key else _address(request))
        if key is None:
            raise Unauthenticated(
                "the key is unknown or revoked" if token else "no key was sent; send Authorization: Bearer KEY",
                "unknown_key" if token else None,
            )
        if missing := sorted(scopes - key.scopes):
            raise Forbidden(f"the key lacks the scope {', '.join(missing)}", "missing_scope")
        return key

    async def remind(self) -> None:
        """Log a warning every minute, until cancelled, where keys are switched off."""
        while self.insecure:
            log().warning(
                "insecure: no key is required; anybody who reaches this address can read and delete everything"
            )
            await asyncio.sleep(REMINDER_SECONDS)

    def _spend(self, client: str) -> None:
        if wait := self._rate.spend(client):
            error = RateLimited("too many requests from one client")
            error.retry_after_s = math.ceil(wait)
            raise error


def needs(scope: Scope) -> Any:
    """Declare the scope of a route: `dependencies=[needs("read")]`. `Admission` checks it before the body is read."""
    return Security(_check_admitted, scopes=[scope])


def declared_scopes(dependencies: Iterable[params.Depends]) -> frozenset[str]:
    """Return the scopes that `needs` declares among the dependencies of a route."""
    securities = (item for item in dependencies if isinstance(item, params.Security))
    return frozenset(scope for item in securities if item.dependency is _check_admitted for scope in item.scopes or ())


async def _check_admitted(
    request: Request, scopes: SecurityScopes, _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> None:
    """Refuse a request that `Admission` has not admitted to this route: a second check in case it is bypassed."""
    if not set(scopes.scopes) <= getattr(request.state, "scopes", frozenset()):
        raise Unauthenticated("the request was not admitted to this route")


def client_of(request: Request) -> str:
    """Name who sent an admitted request: its key, else its address."""
    key = request.state.key
    return f"key {key}" if key else _address(request)


def _address(request: Request) -> str:
    return f"address {request.client.host}" if request.client else "address"


def _check_local(request: Request, origins: frozenset[str]) -> None:
    for header, prefix, allowed in (("host", "//", frozenset[str]()), ("origin", "", origins)):
        value = request.headers.get(header)
        if value is not None and value not in allowed and not _names_loopback(prefix + value):
            raise Forbidden(
                f"the header {header.title()} names another machine; to serve others, set TRIAGE_HTTP__KEYS=always",
                "foreign_host",
            )


def _names_loopback(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False

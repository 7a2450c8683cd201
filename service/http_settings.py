"""Settings of the REST interface, the group `TRIAGE_HTTP__…`."""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from service.destinations import Group

ROOT_PATH = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$"  # no segment begins with a dot
ORIGIN = r"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"  # RFC 6454 6.2, without a wildcard

Origin = Annotated[str, Field(pattern=ORIGIN)]


def _network(value: str) -> str:
    """Check an address or network, or `*`; uvicorn would take any other text for the name of a Unix socket."""
    if value != "*":
        ipaddress.ip_network(value)  # a ValueError, which names what is wrong
    return value


Proxy = Annotated[str, AfterValidator(_network)]


class Http(Group):
    """Where the REST interface listens, whom it believes, and how many connections it holds."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes any free one")
    keys: Literal["auto", "always", "never"] = Field(
        "auto", description="whether API keys are required; auto: unless TRIAGE_HTTP__HOST is a loopback address"
    )
    root_path: str = Field("", pattern=ROOT_PATH, description="path under which a proxy serves it, as in /triage")
    cors_origins: tuple[Origin, ...] = Field(
        (), description="origins of other web pages that may use it, as in https://viewer.example; by default none"
    )
    proxies: tuple[Proxy, ...] = Field(
        (),
        description='addresses and networks of proxies whose X-Forwarded headers count, or "*" for all; '
        "by default none",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="connections at once, fewer where the limit on open files is lower; over it, the one that has "
        "waited longest for its client is closed",
    )
    head_seconds: float = Field(10.0, gt=0, description="maximum seconds until the head of a request has arrived")
    max_unread_bytes: int = Field(
        2**29,
        ge=2**20,
        description="bytes of answers that wait for their clients; over it, the one that has waited longest is cut off",
    )

"""HTTP caching: a browser may keep an answer but must revalidate it each time."""

import hashlib

from fastapi import Request


def cache_headers(request: Request, key: object) -> dict[str, str]:
    """Return ETag and Cache-Control for an answer that depends only on `key` and the version of the service."""
    digest = hashlib.sha256(repr((request.app.version, key)).encode()).hexdigest()
    return {"ETag": f'"{digest[:32]}"', "Cache-Control": "private, no-cache"}


def is_fresh(request: Request, headers: dict[str, str]) -> bool:
    """Whether the client already has the answer with these headers."""
    return headers["ETag"] in request.headers.get("if-none-match", "")

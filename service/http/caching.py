"""What a browser may keep: always asked about again, sent again only if it is another."""

import hashlib

from fastapi import Request


def tagged(request: Request, what: object) -> dict[str, str]:
    """Make the headers of an answer that is the same as long as `what` is, within one version of the service."""
    digest = hashlib.sha256(repr((request.app.version, what)).encode()).hexdigest()
    return {"ETag": f'"{digest[:32]}"', "Cache-Control": "private, no-cache"}


def is_fresh(request: Request, headers: dict[str, str]) -> bool:
    """Whether the client has it already."""
    return headers["ETag"] in request.headers.get("if-none-match", "")

"""One POST to a destination."""

import ssl
from dataclasses import dataclass

import httpx

from service.destinations import Destination
from service.sending.authorization import authorization
from service.sending.failure import SendingFailed
from service.sending.tls import context, is_refused, is_tls_failure

SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """The status of an answer, and the beginning of its body."""

    status: int
    body: bytes


async def post(destination: Destination, path: str, content: bytes, headers: dict[str, str], max_bytes: int) -> Answer:
    """Post to the destination's URL followed by `path`, with its secret and certificates; redirects are not followed.

    Parameters
    ----------
    max_bytes
        Number of bytes of the answer's body that are read, at least; the rest is left on the way.

    Raises
    ------
    SendingFailed
        `unreachable`, `tls_failed`
    ConfigurationError
        A file that the destination names cannot be used.
    """
    made = context(destination)
    sent = headers | authorization(destination)
    try:
        url = httpx.URL(f"{str(destination.url).rstrip('/')}{path}" if path else str(destination.url))
        async with (
            httpx.AsyncClient(timeout=SECONDS, trust_env=False, verify=made) as http,
            http.stream("POST", url, content=content, headers=sent) as answer,
        ):
            return Answer(answer.status_code, await _beginning(answer, max_bytes))
    except (httpx.TransportError, httpx.InvalidURL, ssl.SSLError) as error:
        refused = is_tls_failure(error, connecting=isinstance(error, httpx.ConnectError)) or (
            isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
            and not isinstance(error, httpx.ConnectError)
            and url.scheme == "https"
            and await is_refused(url.host, url.port or 443, made)
        )
        raise SendingFailed("tls_failed" if refused else "unreachable") from error


async def _beginning(answer: httpx.Response, max_bytes: int) -> bytes:
    body = b""
    if max_bytes:
        async for part in answer.aiter_bytes():
            body += part
            if len(body) >= max_bytes:
                break
    return body

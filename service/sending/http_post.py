"""One POST to a destination."""

import ssl

import httpx

from service.destinations import Destination
from service.sending.authorization import authorization
from service.sending.failure import SendingFailed
from service.sending.tls import context, is_refused, is_tls_failure

SECONDS = 60.0


async def post(destination: Destination, path: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
    """Post to the destination's URL followed by `path`, with its secret and certificates; redirects are not followed.

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
        url = httpx.URL(str(destination.url).rstrip("/") + path)
        async with httpx.AsyncClient(timeout=SECONDS, trust_env=False, verify=made) as http:
            return await http.post(url, content=content, headers=sent)
    except (httpx.TransportError, httpx.InvalidURL, ssl.SSLError) as error:
        refused = is_tls_failure(error, connecting=isinstance(error, httpx.ConnectError)) or (
            isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
            and not isinstance(error, httpx.ConnectError)
            and url.scheme == "https"
            and await is_refused(url.host, url.port or 443, made)
        )
        raise SendingFailed("tls_failed" if refused else "unreachable") from error

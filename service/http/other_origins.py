"""Web pages of other origins that may use the service (CORS, Fetch 3.2): those in the settings, no other.

A page sends its key itself, in `Authorization`; cookies and passwords that the browser keeps are never asked for. A
preflight request has no key, so it is answered before keys are checked; it discloses nothing but these rules.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from service.http.envelope import SAFE_HEADERS

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
REQUEST_HEADERS = ("Authorization", "Content-Type", "If-None-Match", "X-Request-Id")
RESPONSE_HEADERS = ("ETag", "Retry-After", "Warning", "WWW-Authenticate", "X-Pixels", "X-Request-Id")


class OtherOrigins(CORSMiddleware):
    """ASGI middleware that answers preflight requests and allows pages of `origins` to read answers.

    Parameters
    ----------
    origins
        Origins as browsers send them: scheme, host and port, without a path.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request with the headers that every answer has."""
        response = super().preflight_response(request_headers)
        response.headers.update(SAFE_HEADERS)
        return response

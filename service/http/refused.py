"""Which requests send radiographs: only their refusals are counted."""

from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

from service import metrics
from service.errors import TriageError, UnsuitableImage
from service.storage.refusals import Refusals

_PATHS = ("/v1/predictions", "/dicom-web/studies")
_counting: ContextVar[Refusals | None] = ContextVar("counting", default=None)


def codes(error: Exception) -> tuple[str, ...]:
    """Return the codes under which a refusal counts: those of the gate's reasons, or that of the error."""
    if isinstance(error, UnsuitableImage) and error.reasons:
        return tuple(dict.fromkeys(reason.code for reason in error.reasons))
    return (error.code if isinstance(error, TriageError) else TriageError.code,)


def count(error: Exception) -> None:
    """Count a refusal, if the request in progress sends radiographs."""
    if refusals := _counting.get():
        refusals.count(codes(error))
        metrics.REFUSED_FILES.inc()
        for code in codes(error):
            metrics.REFUSALS.labels(code).inc()


class Counted:
    """ASGI middleware that marks the requests that send radiographs, by REST, STOW-RS, or C-STORE through REST."""

    def __init__(self, app: ASGIApp, refusals: Refusals) -> None:
        self._app, self._refusals = app, refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        _counting.set(self._refusals if _sends_radiographs(scope) else None)
        await self._app(scope, receive, send)


def _sends_radiographs(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return path in _PATHS or path.startswith(f"{_PATHS[1]}/")

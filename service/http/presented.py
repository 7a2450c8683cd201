"""What answers show of a prediction in the request in progress, as `root_path` of `service.http.forwarded`."""

from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

from service.objects.kinds import Presentation

_current: ContextVar[Presentation] = ContextVar("presentation", default=Presentation.FULL)


def presentation() -> Presentation:
    """Return what answers show of a prediction."""
    return _current.get()


def present(presentation: Presentation) -> None:
    """Set what answers show of a prediction, for this task and those that it starts."""
    _current.set(presentation)


class Presented:
    """ASGI middleware that sets what answers show."""

    def __init__(self, app: ASGIApp, presentation: Presentation) -> None:
        self._app, self._presentation = app, presentation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        present(self._presentation)
        await self._app(scope, receive, send)

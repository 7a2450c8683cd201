"""The REST interface put together: routes, errors, and what every answer carries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from service.dicom_web import rendered, retrieve, search, store
from service.http import (
    auth,
    documentation,
    events,
    health,
    model_card,
    objects,
    page,
    pixels,
    predictions,
    problems,
    sends,
    worklist,
)
from service.http.admission import Admission
from service.http.envelope import Envelope
from service.objects.overlay import NOTICE
from service.prediction.pipeline import Pipeline
from service.settings import Settings

REPOSITORY = "https://github.com/agcnn-triage/agcnn-triage"
_DESCRIPTION = f"Chest X-ray triage with an attention-guided CNN. **{NOTICE}** [README]({REPOSITORY}#readme)"

ROUTERS = (
    *(room.router for room in (predictions, objects, sends, pixels, worklist, events)),
    *(room.router for room in (store, search, retrieve, rendered)),
    *(room.router for room in (model_card, health, page, documentation)),
)


def create_app(settings: Settings) -> FastAPI:
    """Put the service together; it starts to become ready with its lifespan.

    Raises
    ------
    ArtefactError, ConfigurationError
        As `Pipeline`.
    """
    pipeline = Pipeline(settings)
    guard = auth.Guard(pipeline, settings.http, settings.limits)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with pipeline.running():
            reminder = asyncio.create_task(guard.remind())
            yield
            reminder.cancel()

    app = FastAPI(
        title="AG-CNN triage",
        version=version("agcnn-triage"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # `documentation` has it, without a public server
        redoc_url=None,
        redirect_slashes=False,  # a redirect would say path and query again, which are the client's
    )
    app.state.pipeline, app.state.guard, app.state.limits = pipeline, guard, settings.limits
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    app.add_middleware(Admission, guard=guard, routes=[route for router in ROUTERS for route in router.routes])
    app.add_middleware(Envelope, limits=settings.limits)
    return app

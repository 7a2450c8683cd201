"""The application: all routes, the error handlers, the middleware and the background tasks."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from service import metrics, traces
from service.artefact.card import NOTICE
from service.destinations import Destination
from service.dicom_web import frames, rendered, retrieve, search, store
from service.dicom_web.catalogue import Catalogue
from service.http import (
    acknowledgement,
    auth,
    documentation,
    events,
    health,
    measurements,
    model_card,
    objects,
    opinions,
    page,
    pixels,
    predictions,
    priors,
    problems,
    sends,
    statistics,
    worklist,
)
from service.http.admission import Admission
from service.http.envelope import Envelope
from service.http.feed import Feed
from service.http.forwarded import Forwarded
from service.http.gauges import Gauges
from service.http.measured import Measured
from service.http.methods import Methods
from service.http.other_origins import OtherOrigins
from service.http.presented import Presented
from service.http.reference import Documented
from service.http.refused import Counted
from service.objects.kinds import Kind, Presentation
from service.objects.notification import notification
from service.objects.product import REPOSITORY
from service.prediction.pipeline import Pipeline
from service.sending import webhook
from service.sending.presented import presented
from service.sending.sender import Render, Sender, orders_for_new_records
from service.settings import Settings
from service.storage.changes import Changes
from service.storage.database import WAITING_WRITERS
from service.storage.keys import Keys
from service.storage.measurements import Measurements
from service.storage.notifications import CHANGES, ORDERS, Notifications
from service.storage.outbox import Delivery, Outbox
from service.storage.refusals import Refusals
from service.storage.worklist import Worklist

_THREADS = 2 * WAITING_WRITERS  # while writers wait for a locked database, as many are left for all other work
# FastAPI's own traces have the path and query of each request, and its own logs the text of exceptions.
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_DESCRIPTION = (
    f"Chest X-ray triage with an attention-guided CNN. **{NOTICE}** [README]({REPOSITORY}#readme)\n\n"
    "Each route has a command to try it. Where a key is required, add `-H 'Authorization: Bearer KEY'`."
)

ROUTERS = (
    *(module.router for module in (predictions, objects, sends, pixels, worklist, priors, acknowledgement)),
    *(module.router for module in (measurements, events)),
    *(module.router for module in (store, search, retrieve, frames, rendered)),
    *(module.router for module in (opinions, statistics)),
    *(module.router for module in (model_card, health, page, documentation)),
)


def create_app(settings: Settings) -> FastAPI:
    """Create the application from its parts; its lifespan starts the decoders and the network.

    Raises
    ------
    ArtefactError, ConfigurationError
        As `Pipeline`.
    """
    presentation = Presentation(settings.triage.presentation)
    sending = presented(settings.sending, presentation)
    pipeline = Pipeline(settings, partial(orders_for_new_records, sending))
    keys = Keys(pipeline.database)
    feed = Feed(Changes(pipeline.database))
    refusals = Refusals(pipeline.database)
    sender = Sender(Outbox(pipeline.database), _renderer(pipeline), sending)
    notifications = Notifications(pipeline.database, {CHANGES: feed.wake, ORDERS: sender.wake})
    guard = auth.Guard(keys, settings.http, settings.limits)
    traced = traces.from_environment()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "work"))
        async with pipeline.running():
            work = (guard.remind(), refusals.run(), notifications.run(), _send(pipeline, sender))
            tasks = [asyncio.create_task(coroutine) for coroutine in work]
            try:
                yield
            finally:
                feed.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.to_thread(traced.close)

    app = Documented(
        title="AG-CNN triage",
        version=version("agcnn-triage"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # `documentation` serves it without a public server
        redoc_url=None,
        redirect_slashes=False,  # a redirect would echo the client's path and query
        telemetry=_NO_TELEMETRY,
    )
    app.state.pipeline, app.state.guard, app.state.limits = pipeline, guard, settings.limits
    app.state.keys, app.state.feed, app.state.sender = keys, feed, sender
    app.state.worklist, app.state.catalogue = Worklist(pipeline.database), Catalogue(pipeline)
    app.state.measurements = Measurements(pipeline.database)
    app.state.collectors = (metrics.REGISTRY, Gauges(settings, pipeline, app.state.worklist))
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    routes = [route for router in ROUTERS for route in router.routes]
    app.add_middleware(Presented, presentation=presentation)
    app.add_middleware(Admission, guard=guard, routes=routes, started=pipeline.started)
    app.add_middleware(Methods, routes=[*routes, *app.routes])
    app.add_middleware(Envelope, limits=settings.limits)
    app.add_middleware(Measured, traces=traced)
    app.add_middleware(Counted, refusals=refusals)
    if settings.http.cors_origins:
        app.add_middleware(OtherOrigins, origins=settings.http.cors_origins)
    app.add_middleware(Forwarded, root_path=settings.http.root_path, proxies=settings.http.proxies)
    return app


def _renderer(pipeline: Pipeline) -> Render:
    async def render(entry: Delivery, destination: Destination) -> bytes:
        record = await pipeline.stored.get(entry.prediction_id)
        if entry.object is Kind.NOTIFICATION:
            return notification(record, webhook.message(destination, entry, record))
        return await pipeline.stored.render(record, entry.object)

    return render


async def _send(pipeline: Pipeline, sender: Sender) -> None:
    """Send until cancelled, once the pipeline has started and objects can be rendered."""
    await pipeline.started()
    await sender.run()

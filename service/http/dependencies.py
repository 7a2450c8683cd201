"""Annotations by which a route receives the parts of the service that `app.create_app` made.

The functions are `async`, because FastAPI runs others in a thread, for which a request would wait twice.
"""

from typing import Annotated

from fastapi import Depends, Request

from service.http.feed import Feed
from service.prediction.pipeline import Pipeline
from service.sending.sender import Sender
from service.storage.measurements import Measurements
from service.storage.worklist import Worklist


async def _pipeline(request: Request) -> Pipeline:
    pipeline: Pipeline = request.app.state.pipeline
    return pipeline


async def _worklist(request: Request) -> Worklist:
    worklist: Worklist = request.app.state.worklist
    return worklist


async def _measurements(request: Request) -> Measurements:
    measurements: Measurements = request.app.state.measurements
    return measurements


async def _feed(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


async def _sender(request: Request) -> Sender:
    sender: Sender = request.app.state.sender
    return sender


PipelineDep = Annotated[Pipeline, Depends(_pipeline)]
WorklistDep = Annotated[Worklist, Depends(_worklist)]
MeasurementsDep = Annotated[Measurements, Depends(_measurements)]
FeedDep = Annotated[Feed, Depends(_feed)]
SenderDep = Annotated[Sender, Depends(_sender)]

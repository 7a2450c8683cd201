"""The pipeline behind every route."""

from typing import Annotated

from fastapi import Depends, Request

from service.prediction.pipeline import Pipeline


def _pipeline(request: Request) -> Pipeline:
    pipeline: Pipeline = request.app.state.pipeline
    return pipeline


Door = Annotated[Pipeline, Depends(_pipeline)]

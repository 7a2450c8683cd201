"""Whether the process is alive, and whether it may be sent work."""

from fastapi import APIRouter
from pydantic import BaseModel

from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES

router = APIRouter(tags=["health"], responses=RESPONSES)


class Health(BaseModel):
    """A probe's answer."""

    status: str


@router.get("/livez")
async def livez() -> Health:
    """Say that the process answers."""
    return Health(status="alive")


@router.get("/readyz")
async def readyz(pipeline: PipelineDep) -> Health:
    """Say whether files are taken: only after the artefact's golden outputs were reproduced on the provider in use."""
    pipeline.check_ready()
    return Health(status="ready")

"""Health probes: liveness and readiness."""

from fastapi import APIRouter
from pydantic import BaseModel

from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES

router = APIRouter(tags=["health"], responses=RESPONSES)


class Health(BaseModel):
    """The answer to a probe."""

    status: str


@router.get("/livez")
async def livez() -> Health:
    """Return that the process is alive."""
    return Health(status="alive")


@router.get("/readyz")
async def readyz(pipeline: PipelineDep) -> Health:
    """Return that the service is ready.

    It is once it has reproduced the artefact's golden outputs on the provider in use, and while its database answers
    and the folder or bucket of instances is there.
    """
    pipeline.check_ready()
    await pipeline.storage.check()
    return Health(status="ready")

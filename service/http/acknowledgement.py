"""Acknowledgement of a result, which ends its alerts."""

import asyncio

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from service.http.auth import needs
from service.http.bodies import json_response, printable
from service.http.dependencies import WorklistDep
from service.http.problems import RESPONSES
from service.http.worklist_bodies import Acknowledgement, acknowledgement_body

router = APIRouter(prefix="/v1/predictions/{id}/acknowledgement", tags=["worklist"], responses=RESPONSES)


class By(BaseModel):
    """The person who acknowledges a result."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field("", max_length=64, description="name or initials; by default the name of the key")


@router.post("", dependencies=[needs("predict")], response_model=Acknowledgement)
async def acknowledge(id: str, request: Request, stored: WorklistDep, person: By | None = None) -> JSONResponse:
    """Acknowledge a result, with name and time: its alerts are neither repeated nor passed on any more.

    A second acknowledgement does not replace the first. To mark a result as read acknowledges it, too.
    """
    by = printable(person.by if person else "") or request.state.key or ""
    entry = await asyncio.to_thread(stored.acknowledge, id, by)
    return json_response(acknowledgement_body(entry.acknowledgement))


@router.get("", dependencies=[needs("read")], response_model=Acknowledgement)
async def acknowledgement(id: str, stored: WorklistDep) -> JSONResponse:
    """Return who acknowledged a result, and whether an alert asks for it."""
    return json_response(acknowledgement_body((await asyncio.to_thread(stored.get, id)).acknowledgement))

"""Priors: the earlier radiographs of the same patient, to compare a radiograph with."""

import asyncio

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import JSONResponse

from service.http.auth import needs
from service.http.bodies import Body, json_response
from service.http.dependencies import WorklistDep
from service.http.problems import RESPONSES
from service.http.worklist_bodies import Entry, entry_body
from service.storage import priors as storage

router = APIRouter(tags=["worklist"], responses=RESPONSES)


class Priors(Body):
    """The earlier radiographs of a patient."""

    items: list[Entry] = Field(
        description=f"the newest prediction of each, the latest study first, at most {storage.MOST}; `links.image` "
        "with `?width=` is a small picture"
    )


@router.get("/v1/predictions/{id}/priors", dependencies=[needs("read")], response_model=Priors)
async def priors(id: str, stored: WorklistDep) -> JSONResponse:
    """List the radiographs in earlier studies of the same patient, by patient ID and its issuer.

    The list is empty where the file has no patient ID or no study date. It leaves out studies without a date, or on the
    same day without a time, as nothing says that they are earlier.
    """
    entries = await asyncio.to_thread(storage.priors, stored, id)
    return json_response(Priors(items=[entry_body(entry) for entry in entries]))

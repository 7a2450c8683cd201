"""Opinions of readers on findings: they agree or disagree, and may withdraw what they said."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from service.http.auth import needs
from service.http.bodies import Body, Moment, json_response, printable
from service.http.problems import RESPONSES
from service.storage import opinions as storage
from service.storage.opinions import Verdict

router = APIRouter(prefix="/v1/predictions/{id}/opinions", tags=["worklist"], responses=RESPONSES)


class Statement(BaseModel):
    """What a reader says of a finding."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(max_length=64, description="label of the finding")
    opinion: Verdict | None = Field(description="null withdraws an earlier opinion")
    by: str = Field("", max_length=64, description="name or initials; by default the name of the key")


class Opinion(Body):
    """An opinion on a finding."""

    label: str
    opinion: Verdict | None = Field(description="null where the reader withdrew an earlier one")
    by: str
    at: Moment


class Opinions(Body):
    """The opinions on the findings of a prediction."""

    items: list[Opinion] = Field(description="the last opinion of each reader on each finding, unless withdrawn")
    history: list[Opinion] = Field(description="all opinions, also replaced and withdrawn ones, oldest first")


async def _stored(request: Request) -> storage.Opinions:
    return storage.Opinions(request.app.state.pipeline.database)


_StoredDep = Annotated[storage.Opinions, Depends(_stored)]


@router.get("", dependencies=[needs("read")], response_model=Opinions)
async def opinions(id: str, stored: _StoredDep) -> JSONResponse:
    """Return the opinions of readers on the findings of a prediction."""
    return json_response(_body(await asyncio.to_thread(stored.history, id)))


@router.post("", dependencies=[needs("predict")], response_model=Opinions)
async def give(id: str, statement: Statement, request: Request, stored: _StoredDep) -> JSONResponse:
    """Keep what a reader thinks of a finding, with name and time.

    The last opinion of a reader on a finding counts; earlier ones stay in the history.
    """
    by = printable(statement.by) or request.state.key or ""
    history = await asyncio.to_thread(stored.give, id, printable(statement.label), statement.opinion, by)
    return json_response(_body(history))


def _body(history: tuple[storage.Opinion, ...]) -> Opinions:
    return Opinions(
        items=[_opinion(opinion) for opinion in storage.current(history)],
        history=[_opinion(opinion) for opinion in history],
    )


def _opinion(opinion: storage.Opinion) -> Opinion:
    return Opinion(label=opinion.label, opinion=opinion.verdict, by=opinion.reader, at=opinion.at)

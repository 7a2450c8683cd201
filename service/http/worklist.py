"""The worklist: most urgent first, filtered, searched, marked as read, and as a table.

A search holds what is known of a patient, so it comes in a body: addresses stand in the logs of every proxy.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, StreamingResponse

from service.http.auth import needs
from service.http.bodies import Links, Network, Priority
from service.http.dependencies import Door
from service.http.problems import RESPONSES
from service.prediction.pipeline import Pipeline
from service.storage.worklist import Filters

router = APIRouter(tags=["worklist"], responses=RESPONSES)

_READ = needs("read")
_TABLE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")  # what is misspelt is not passed over


class Wanted(_Body):
    """Which entries."""

    priority: Priority | None = None
    finding: str | None = Field(None, max_length=64, description="positive for this label")
    read: bool | None = Field(None, description="1: marked as read; 0: not")
    since: AwareDatetime | None = Field(None, description="answered then or later")


class Paged(Wanted):
    """Which of them, and how many at once."""

    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before")


class _Searched(_Body):
    q: str | None = Field(
        None, max_length=200, description="words, each a part of patient name, patient id or accession number"
    )


class SearchTable(Wanted, _Searched):
    """Which entries, by what is known of a patient, too."""


class Search(Paged, _Searched):
    """Which entries, by what is known of a patient, too; and how many at once."""


class Mark(_Body):
    """Whether somebody has read it."""

    read: bool
    by: str = Field("", max_length=64, description="name or initials; the name of the key where left out")


class Patient(_Body):
    """As the tags have it; empty where they have nothing."""

    name: str
    id: str
    sex: str
    age: str
    birth_date: str


class Study(_Body):
    """As the tags have it; empty where they have nothing."""

    instance_uid: str
    date: str
    time: str
    description: str


class Read(_Body):
    """Who has read it, and when."""

    at: AwareDatetime
    by: str


class Entry(_Body):
    """One radiograph on the worklist."""

    id: str = Field(description="of its newest prediction")
    created: AwareDatetime
    priority: Priority
    reason: list[str] = Field(description="positive findings that made the priority")
    positive: list[str] = Field(description="labels of all positive findings")
    margin: float | None = Field(description="largest logit margin over a threshold: orders within a priority")
    flags: list[str]
    patient: Patient
    accession_number: str
    study: Study
    series_description: str
    modality: str
    model: Network
    read: Read | None
    links: Links


class Unread(_Body):
    """How many on the whole list nobody has read."""

    STAT: int
    HIGH: int
    ROUTINE: int


class Page(_Body):
    """Entries, most urgent first."""

    items: list[Entry]
    next: str | None = Field(description="cursor of the next page; null on the last")
    total: int = Field(description="how many entries fit the filters")
    unread: Unread


@router.get("/v1/worklist", dependencies=[_READ], response_model=Page)
async def worklist(pipeline: Door, wanted: Annotated[Paged, Query()]) -> JSONResponse:
    """List the newest prediction of each radiograph: by priority, then margin, largest first, then waiting time."""
    return await _page(pipeline, wanted, _filters(wanted))


@router.post("/v1/worklist/search", dependencies=[_READ], response_model=Page)
async def search(pipeline: Door, wanted: Search) -> JSONResponse:
    """List those that fit what is known of a patient; in a body, as addresses stand in logs."""
    return await _page(pipeline, wanted, _searching(wanted, wanted.q))


@router.get("/v1/worklist.csv", dependencies=[_READ], response_class=StreamingResponse, responses=_TABLE)
async def table(pipeline: Door, wanted: Annotated[Wanted, Query()]) -> StreamingResponse:
    """Give the whole list as a table; text that a spreadsheet would take for a formula has an apostrophe before it."""
    return _csv(pipeline.worklist.table(_filters(wanted)))


@router.post("/v1/worklist.csv", dependencies=[_READ], response_class=StreamingResponse, responses=_TABLE)
async def search_table(pipeline: Door, wanted: SearchTable) -> StreamingResponse:
    """Give those that fit what is known of a patient as a table."""
    return _csv(pipeline.worklist.table(_searching(wanted, wanted.q)))


@router.get("/v1/worklist/{id}", dependencies=[_READ], response_model=Entry)
async def entry(id: str, pipeline: Door) -> JSONResponse:
    """Give one entry."""
    return JSONResponse(await pipeline.worklist.get(id))


@router.patch("/v1/predictions/{id}", dependencies=[needs("predict")], response_model=Entry)
async def mark(id: str, mark: Mark, request: Request, pipeline: Door) -> JSONResponse:
    """Mark a prediction as read, with who and when, or as unread again. Of two marks the first stands."""
    by = _plain(mark.by) or request.state.key or ""
    return JSONResponse(await pipeline.worklist.mark(id, mark.read, by))


async def _page(pipeline: Pipeline, wanted: Paged, filters: Filters) -> JSONResponse:
    return JSONResponse(await pipeline.worklist.page(filters, wanted.limit, wanted.cursor))


def _filters(wanted: Wanted) -> Filters:
    finding = wanted.finding and _plain(wanted.finding)
    return Filters(None, wanted.priority, finding, wanted.read, wanted.since)


def _searching(wanted: Wanted, q: str | None) -> Filters:
    return replace(_filters(wanted), q=q and _plain(q))


def _plain(text: str) -> str:
    """Text without control characters and halves of characters, which a database may not take."""
    return "".join(one if one.isprintable() else " " for one in text).strip()


def _csv(lines: AsyncIterator[str]) -> StreamingResponse:
    headers = {"Content-Disposition": 'attachment; filename="worklist.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)

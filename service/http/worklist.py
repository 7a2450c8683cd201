"""The worklist: list by urgency, filter, search, mark as read, and export as CSV.

A search may name a patient, so it is in the body of a request: URLs are in the logs of every proxy.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, StreamingResponse

from service.http.auth import needs
from service.http.bodies import json_response, printable
from service.http.dependencies import WorklistDep
from service.http.problems import RESPONSES
from service.http.worklist_bodies import Entry, Opened, WorklistPage, entry_body, page_body, table
from service.storage import worklist as storage
from service.storage.filters import Filters
from service.storage.order import By, Order
from service.storage.worklist import Worklist
from service.triage.rule import Priority

router = APIRouter(tags=["worklist"], responses=RESPONSES)

_READ = needs("read")
_TABLE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_ROWS = 500  # rows of the table in one database query


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time in the years 1 to 9999 of UTC") from None


Since = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a misspelt name is an error


class Filter(_Parameters):
    """Filters of the worklist."""

    priority: Priority | None = None
    finding: str | None = Field(None, max_length=64, description="positive for this label")
    read: bool | None = Field(None, description="1: marked as read; 0: unread")
    since: Since | None = Field(None, description="predicted at this time or later")


class PagedFilter(Filter):
    """Filters of the worklist, and the page."""

    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page")


class _Query(_Parameters):
    q: str | None = Field(
        None, max_length=200, description="words, each of which occurs in patient name, patient id or accession number"
    )


class _Sorted(_Parameters):
    sort: By = Field(
        "urgency",
        description="urgency: priority, then margin (largest first), then waiting time; received: time of the "
        "prediction; patient: name; study: date and time of the study",
    )
    descending: bool = Field(False, description="the reverse of this order")
    unread_first: bool = Field(False, description="entries that are not marked as read before all others")


class SearchTable(_Sorted, Filter, _Query):
    """Filters of the worklist, a search for a patient or accession number, and the order."""


class Search(_Sorted, PagedFilter, _Query):
    """Filters of the worklist, a search for a patient or accession number, the order, and the page."""

    # The cursor of a list that is sorted by name holds a name; so only a body takes an order, and never a URL.
    cursor: str | None = Field(None, max_length=600, description="`next` of the previous page in the same order")


class Mark(_Parameters):
    """The read mark of a prediction."""

    read: bool
    by: str = Field("", max_length=64, description="name or initials; by default the name of the key")


@router.get("/v1/worklist", dependencies=[_READ], response_model=WorklistPage)
async def worklist(stored: WorklistDep, parameters: Annotated[PagedFilter, Query()]) -> JSONResponse:
    """List the newest prediction of each radiograph by priority, then margin (largest first), then waiting time."""
    return await _page(stored, parameters, _filters(parameters), Order())


@router.post("/v1/worklist/search", dependencies=[_READ], response_model=WorklistPage)
async def search(stored: WorklistDep, parameters: Search) -> JSONResponse:
    """List the entries of a patient or accession number. The query is in the body, as URLs are logged."""
    return await _page(stored, parameters, _search_filters(parameters, parameters.q), _order(parameters))


@router.get("/v1/worklist.csv", dependencies=[_READ], response_class=StreamingResponse, responses=_TABLE)
async def csv_table(stored: WorklistDep, parameters: Annotated[Filter, Query()]) -> StreamingResponse:
    """Return the worklist as CSV; text that a spreadsheet would run as a formula is prefixed with an apostrophe."""
    return _csv(stored, _filters(parameters), Order())


@router.post("/v1/worklist.csv", dependencies=[_READ], response_class=StreamingResponse, responses=_TABLE)
async def search_table(stored: WorklistDep, parameters: SearchTable) -> StreamingResponse:
    """Return the entries of a patient or accession number as CSV."""
    return _csv(stored, _search_filters(parameters, parameters.q), _order(parameters))


@router.get("/v1/worklist/{id}", dependencies=[_READ], response_model=Entry)
async def entry(id: str, stored: WorklistDep) -> JSONResponse:
    """Return one entry."""
    return json_response(entry_body(await asyncio.to_thread(stored.get, id)))


@router.patch("/v1/predictions/{id}", dependencies=[needs("predict")], response_model=Entry)
async def mark(id: str, mark: Mark, request: Request, stored: WorklistDep) -> JSONResponse:
    """Mark a prediction as read, with name and time, or as unread. A second mark does not replace the first.

    To mark it as read also acknowledges it.
    """
    by = printable(mark.by) or request.state.key or ""
    return json_response(entry_body(await asyncio.to_thread(stored.mark, id, mark.read, by)))


@router.post("/v1/predictions/{id}/opened", dependencies=[needs("predict")], response_model=Opened)
async def opened(id: str, stored: WorklistDep) -> JSONResponse:
    """Keep the time at which a radiograph was opened in a viewer, for the statistics. The first time counts."""
    return json_response(Opened(at=await asyncio.to_thread(stored.open, id)))


async def _page(stored: Worklist, parameters: PagedFilter, filters: Filters, order: Order) -> JSONResponse:
    entries, following = await asyncio.to_thread(stored.page, filters, parameters.limit, parameters.cursor, order)
    return json_response(page_body(entries, following, await asyncio.to_thread(stored.counts, filters)))


def _filters(parameters: Filter) -> Filters:
    finding = parameters.finding and printable(parameters.finding)
    return Filters(None, parameters.priority, finding, parameters.read, parameters.since)


def _search_filters(parameters: Filter, q: str | None) -> Filters:
    return replace(_filters(parameters), q=q and printable(q))


def _order(parameters: _Sorted) -> Order:
    return Order(parameters.sort, parameters.descending, parameters.unread_first)


def _csv(stored: Worklist, filters: Filters, order: Order) -> StreamingResponse:
    headers = {"Content-Disposition": 'attachment; filename="worklist.csv"'}
    lines = table(partial(_rows, stored, filters, order))
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


async def _rows(
    stored: Worklist, filters: Filters, order: Order, cursor: str | None
) -> tuple[Sequence[storage.Entry], str | None]:
    return await asyncio.to_thread(stored.page, filters, _ROWS, cursor, order)

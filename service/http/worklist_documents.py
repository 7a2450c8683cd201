"""The worklist as the interface tells it: pages, one entry, the read mark, and a table of everything."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from service.http.documents import document, moment
from service.storage.worklist import Entry, Filters, positive
from service.storage.worklist import Worklist as Stored

_PATIENT = {
    "name": "PatientName",
    "id": "PatientID",
    "sex": "PatientSex",
    "age": "PatientAge",
    "birth_date": "PatientBirthDate",
}
_COLUMNS = (
    *("priority", "reason", "positive", "margin", "flags", "created", "read_at", "read_by", "accession_number"),
    *("patient_name", "patient_id", "patient_sex", "patient_age", "patient_birth_date"),
    *("study_date", "study_time", "study_description", "series_description", "modality", "study_instance_uid"),
    *("model", "model_version", "id"),
)
_ROWS = 500  # read at once for the table
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet runs


class Worklist:
    """The stored list behind its door; blocking work is done in threads."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    async def page(self, filters: Filters, limit: int, cursor: str | None) -> dict[str, Any]:
        """Give a page, most urgent first, the cursor of the next, and the counts.

        Raises
        ------
        InvalidRequest
        """
        entries, following = await asyncio.to_thread(self._stored.page, filters, limit, cursor)
        counts = await asyncio.to_thread(self._stored.counts, filters)
        items = [told(entry) for entry in entries]
        return {"items": items, "next": following, "total": counts.total, "unread": counts.unread}

    async def get(self, id: str) -> dict[str, Any]:
        """Give one entry.

        Raises
        ------
        NotFound
        """
        return told(await asyncio.to_thread(self._stored.get, id))

    async def mark(self, id: str, read: bool, by: str) -> dict[str, Any]:
        """Mark a record as read, or as unread.

        Raises
        ------
        NotFound
        """
        return told(await asyncio.to_thread(self._stored.mark, id, read, by))

    async def table(self, filters: Filters) -> AsyncIterator[str]:
        """Give every entry as a line of a CSV table, RFC 4180, read in pieces: no transaction lasts as long as it."""
        yield _lines([_COLUMNS])
        cursor: str | None = None
        while True:
            entries, cursor = await asyncio.to_thread(self._stored.page, filters, _ROWS, cursor)
            yield _lines([_row(entry) for entry in entries])
            if cursor is None:
                return


def told(entry: Entry) -> dict[str, Any]:
    """Tell an entry as JSON; what the tags say as they say it, empty where they do not."""
    record = entry.record
    tags, whole = record.attributes, document(record)
    return {
        "id": record.id,
        "created": whole["created"],
        "priority": record.priority,
        "reason": whole["reason"],
        "positive": positive(record),
        "margin": record.margin,
        "flags": whole["flags"],
        "patient": {name: tags.get(keyword, "") for name, keyword in _PATIENT.items()},
        "accession_number": record.accession_number,
        "study": {
            "instance_uid": record.study_instance_uid,
            "date": tags.get("StudyDate", ""),
            "time": tags.get("StudyTime", ""),
            "description": tags.get("StudyDescription", ""),
        },
        "series_description": tags.get("SeriesDescription", ""),
        "modality": tags.get("Modality", ""),
        "model": whole["model"],
        "read": None if entry.read_at is None else {"at": moment(entry.read_at), "by": entry.read_by},
        "links": whole["links"],
    }


def _row(entry: Entry) -> tuple[object, ...]:
    one = told(entry)
    patient, study, read, model = one["patient"], one["study"], one["read"] or {}, one["model"]
    return (
        one["priority"],
        *(
            "; ".join(one[name]) if name != "margin" else one[name]
            for name in ("reason", "positive", "margin", "flags")
        ),
        *(one["created"], read.get("at", ""), read.get("by", ""), one["accession_number"]),
        *(patient[name] for name in ("name", "id", "sex", "age", "birth_date")),
        *(study["date"], study["time"], study["description"], one["series_description"], one["modality"]),
        *(study["instance_uid"], model["name"], model["version"], one["id"]),
    )


def _lines(rows: list[tuple[object, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([[_defused(cell) for cell in row] for row in rows])
    return out.getvalue()


def _defused(cell: object) -> object:
    """Text that a spreadsheet would run as a formula, as text: with an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

"""The table of results: a row for each file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from service.artefact.card import NOTICE
from service.backfill.outcome import Outcome
from service.errors import TriageError, UnsuitableImage
from service.http.problems import problem
from service.storage.record import Record
from service.telemetry import describe, hash_uid, log

Row = dict[str, Any]

FILE = "file"
_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_COLUMNS = {
    FILE: _TEXT,
    "study_instance_uid": _TEXT,
    "series_instance_uid": _TEXT,
    "sop_instance_uid": _TEXT,
    "status": pa.int32(),
    "code": _TEXTS,
    "detail": _TEXT,
    "priority": _TEXT,
    "margin": pa.float64(),
    "reason": _TEXTS,
    "flags": _TEXTS,
    "box": pa.list_(pa.int32()),
}

_DIFFERENCES = {  # what a table's metadata say, in the words of the user
    "source": "source",
    "artefact_sha256": "artefact",
    "names": "choice of --hash-names, or another key",
    "delivered": "choice of --store or --report-to",
    "settings": "triage rule, presentation or gate",
}


@dataclass(frozen=True)
class Table:
    """The form of a table.

    Attributes
    ----------
    labels
        Labels of the artefact, each a column of probabilities.
    artefact_sha256
        Digest of the artefact.
    key
        Key of the hashes that stand for names of files and for UIDs; without one, they stand for themselves.
    has_places
        Whether the box is shown.
    delivered
        What else was done with each predicted file, in words.
    source
        Where the files come from.
    settings
        The settings on which rows depend, as JSON.
    """

    labels: tuple[str, ...]
    artefact_sha256: str
    key: bytes | None = None
    has_places: bool = True
    delivered: str = "nothing"
    source: str = ""
    settings: str = "{}"

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, and what holds of all rows."""
        probabilities = dict.fromkeys(self.labels, pa.float64())
        metadata = {
            "notice": NOTICE,
            "artefact_sha256": self.artefact_sha256,
            "names": f"hashed, key {hash_uid('key', self.key)}" if self.key else "plain",
            "delivered": self.delivered,
            "source": self.name(self.source),
            "settings": self.settings,
        }
        return pa.schema(_COLUMNS | probabilities | {"artefact_sha256": _TEXT}, metadata=metadata)

    def name(self, name: str) -> str:
        """Return what stands in the table for the name of a file or for a UID."""
        text = os.fsencode(name).decode(errors="backslashreplace")  # the name of a file need not be UTF-8
        return hash_uid(text, self.key) if self.key and text else text

    def row(self, outcome: Outcome) -> Row:
        """Return the row of a file."""
        own = self._predicted(outcome.record) if outcome.record else self._refused(outcome.error or RuntimeError())
        return {FILE: self.name(outcome.reference), **own, "artefact_sha256": self.artefact_sha256}

    def arrow(self, rows: Sequence[Row]) -> pa.Table:
        """Return rows as a table."""
        return pa.Table.from_pylist(list(rows), schema=self.schema)

    def _predicted(self, record: Record) -> Row:
        prediction = record.prediction
        return {
            "study_instance_uid": self.name(record.study_instance_uid),
            "series_instance_uid": self.name(record.series_instance_uid),
            "sop_instance_uid": self.name(record.sop_instance_uid),
            "status": 200,
            "code": [],
            "priority": prediction.priority,
            "margin": prediction.margin,
            "reason": prediction.reason,
            "flags": prediction.flags,
            "box": prediction.box if self.has_places else None,
            **{finding.label: finding.probability for finding in prediction.findings},
        }

    def _refused(self, error: Exception) -> Row:
        public = problem(error)
        if public.code == "internal_error":
            log().error("unexpected", **describe(error))
        uid = error.sop_instance_uid if isinstance(error, TriageError) else ""
        reasons = [reason.code for reason in error.reasons] if isinstance(error, UnsuitableImage) else []
        return {
            "sop_instance_uid": self.name(uid) or None,
            "status": public.status,
            "code": reasons or [public.code],
            "detail": public.detail,
            "reason": [],
            "flags": [],
        }


def difference(found: pa.Schema, expected: pa.Schema) -> str:
    """Return what makes the schema of a table another one, or nothing."""
    theirs, ours = found.metadata or {}, expected.metadata or {}
    differ = [key for key in _DIFFERENCES if theirs.get(key.encode()) != ours.get(key.encode())]
    if "names" in differ and "source" in differ:  # its hash is made with the key, too
        differ.remove("source")
    words = [_DIFFERENCES[key] for key in differ]
    if not words and (theirs != ours or not found.equals(expected)):
        return "form"
    return " and another ".join(words)

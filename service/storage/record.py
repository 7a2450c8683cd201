"""A record: one answer about one instance by one artefact."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from service.errors import NotFound

_ID = re.compile("[0-9a-f]{32}")


def check(id: str) -> None:
    """Refuse what is no id of a record before it is looked up.

    Raises
    ------
    NotFound
    """
    if not _ID.fullmatch(id):
        raise NotFound("no such prediction")


def _new_id() -> str:
    return uuid4().hex


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, eq=False)
class Summary:
    """A record without its maps.

    Attributes
    ----------
    id, created
        Of the record; made here, leave them out. `created` is aware, in UTC.
    attributes
        What the tags say of patient, study and series, by keyword.
    display_sha256
        Of the display values before resizing.
    instance_file, instance_bytes
        The name `Instances.put` gave back, and the file's size.
    margin
        Largest logit margin over a threshold, or None.
    body
        The stable parts of the answer, JSON; what is stored in fields here need not be in it.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    accession_number: str
    attributes: dict[str, str] = field(repr=False)
    display_sha256: str
    artefact_sha256: str
    instance_file: str
    instance_bytes: int
    priority: str
    margin: float | None
    body: dict[str, Any]
    id: str = field(default_factory=_new_id)
    created: datetime = field(default_factory=_now)


@dataclass(frozen=True, kw_only=True, eq=False)
class Record(Summary):
    """A record whole: heat map [h, w] float32 in [0, 1], class maps [K, h, w] float32 in logit units."""

    heat_map: npt.NDArray[np.float32]
    class_maps: npt.NDArray[np.float32]

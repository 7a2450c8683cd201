"""A record: the prediction of one artefact for one instance, as the database keeps it."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from service.errors import NotFound
from service.triage.measurement import Measurement
from service.triage.prediction import Prediction

_ID = re.compile("[0-9a-f]{32}")


def check_id(id: str) -> None:
    """Refuse a malformed record id before it is looked up.

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
        Identifier and time of the record, by default new ones. `created` is aware, in UTC.
    attributes
        Attributes of patient, study and series, by keyword.
    display_sha256, artefact_sha256
        SHA-256 of the display values before resizing and of the artefact's file, lower-case hex.
    identity_version
        Version of the rule that gave the display values, `service.dicom.radiograph.IDENTITY_VERSION`.
    instance_file, instance_bytes
        Name that `Instances.put` returned, and size of the file.
    revision
        Number of changes of the measurements so far.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    accession_number: str
    attributes: dict[str, str] = field(repr=False)
    display_sha256: str
    identity_version: int
    artefact_sha256: str
    instance_file: str
    instance_bytes: int
    prediction: Prediction
    id: str = field(default_factory=_new_id)
    created: datetime = field(default_factory=_now)
    revision: int = 0


@dataclass(frozen=True)
class Identity:
    """What makes two files one instance: its UID, and its display values under a version of the identity rule."""

    sop_instance_uid: str
    display_sha256: str
    version: int

    @classmethod
    def of(cls, record: Summary) -> Self:
        """Return the identity of a record."""
        return cls(record.sop_instance_uid, record.display_sha256, record.identity_version)


@dataclass(frozen=True, kw_only=True, eq=False)
class Record(Summary):
    """A record with its maps and measurements.

    Attributes
    ----------
    heat_map
        `[h, w] float32 in [0, 1]`.
    class_maps
        `[K, h, w] float32`, logits.
    measurements
        Those that are not deleted, oldest first.
    revised
        Time of the last change of the measurements, aware; None before the first.
    """

    heat_map: npt.NDArray[np.float32]
    class_maps: npt.NDArray[np.float32]
    measurements: tuple[Measurement, ...] = ()
    revised: datetime | None = None

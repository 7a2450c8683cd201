"""What every object is rendered from: one answer, whatever form it takes."""

from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import numpy.typing as npt

from service.objects.overlay import WHOLE, Box, Content
from service.storage.record import Record
from service.triage.finding import Finding
from service.triage.prediction import Network

NAME = "AG-CNN triage"
VERSION = version("agcnn-triage")
REPOSITORY = "https://github.com/agcnn-triage/agcnn-triage"


@dataclass(frozen=True, eq=False)
class Report:
    """One answer to one radiograph.

    Attributes
    ----------
    id, created
        Of the record: every UID is derived from the one, every date is the other. `created` is aware.
    findings
        K, in the order of the class maps.
    priority, reason
        `STAT`, `HIGH` or `ROUTINE`, and the positive findings that made it.
    flags
        What is suspicious of the radiograph, snake_case.
    box
        (x0, y0, x1, y1) pixels of the radiograph, exclusive end.
    heat_map, class_maps
        [h, w] float32 in [0, 1]; [K, h, w] float32 in logit units.
    content
        Where on the maps the radiograph lies, (x0, y0, x1, y1) in [0, 1].
    """

    id: str
    created: datetime
    findings: tuple[Finding, ...]
    priority: str
    reason: tuple[str, ...]
    flags: tuple[str, ...]
    box: Box
    network: Network
    heat_map: npt.NDArray[np.float32]
    class_maps: npt.NDArray[np.float32]
    content: Content = WHOLE

    def uid(self, what: str) -> str:
        """A UID that belongs to `what` of this report for ever."""
        return uid(self.id, what)


def uid(id: str, what: str) -> str:
    """Derive a UID from a record's id, PS3.5 B.2.

    Another version of this service may write an object otherwise, and one UID must not name two objects: it is
    derived from the version, too.
    """
    return f"2.25.{uuid5(NAMESPACE_URL, f'{REPOSITORY}/{VERSION}/{id}/{what}').int}"


def report_of(record: Record) -> Report:
    """Return what objects are made of."""
    prediction = record.prediction
    return Report(
        id=record.id,
        created=record.created,
        findings=prediction.findings,
        priority=prediction.priority,
        reason=prediction.reason,
        flags=prediction.flags,
        box=prediction.box,
        network=prediction.network,
        heat_map=record.heat_map,
        class_maps=record.class_maps,
        content=prediction.content,
    )

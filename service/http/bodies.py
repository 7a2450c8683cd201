"""Bodies of the answers about predictions: their schema, and how a record becomes one."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema, create_model
from starlette.responses import JSONResponse

from service.http.problems import Problem
from service.objects.kinds import Kind
from service.objects.overlay import NOTICE
from service.storage.record import Record, Summary
from service.triage import finding as findings
from service.triage import prediction as predictions
from service.triage.rule import Priority

PARTS = ("image", "overlay", "heat_map", "crop")  # pictures of a prediction
_DIGITS = 8  # of a map's values, about as many as float32 has: a viewer draws each level where the service does


def moment(time: datetime) -> str:
    """Format a time in UTC to the millisecond, RFC 3339."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]
Moment = Annotated[AwareDatetime, PlainSerializer(moment), WithJsonSchema({"type": "string", "format": "date-time"})]


class Body(BaseModel):
    """A part of an answer; refuses members that are not in its schema."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), serialize_by_alias=True)


def json_response(body: Body, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an answer; its schema has been checked when the body was made."""
    return JSONResponse(body.model_dump(mode="json"), headers=headers)


class Finding(Body):
    """One label's calibrated probability and what it means at the operating point, if there is one."""

    label: str = Field(examples=["Pneumothorax"])
    probability: Share = Field(description="of the fusion branch, calibrated")
    threshold: Share | None = Field(
        description="of the operating point; null where there were too few positives to fix one"
    )
    positive: bool | None = Field(description="probability >= threshold")
    sensitivity: Share | None = Field(description="at the threshold, on the data the artefact's card names")
    specificity: Share | None
    global_: Share = Field(alias="global", description="probability of the global branch")
    local: Share = Field(description="probability of the local branch")


class Network(Body):
    """Which artefact answered."""

    name: str
    version: str
    sha256: str


class _Links(Body):
    """Paths of the record, its pictures, and its objects for other systems."""

    self: str
    image: str
    overlay: str
    heat_map: str
    crop: str


_OBJECT_LINKS: dict[str, Any] = {str(kind): (str, ...) for kind in Kind}
Links = create_model("Links", __base__=_Links, __doc__=_Links.__doc__, **_OBJECT_LINKS)


class Timings(Body):
    """Milliseconds in each stage, when the record was made."""

    read: Milliseconds
    decode: Milliseconds
    prepare: Milliseconds
    queue: Milliseconds = Field(description="waiting for the network")
    infer: Milliseconds
    store: Milliseconds = Field(description="until the instance is on disk")


class Prediction(Body):
    """One record: fourteen findings, a priority, and where the network looked."""

    schema_: Literal["agcnn-triage/prediction/1"] = Field(alias="schema")
    notice: Literal["Research use only. Not a medical device."]
    id: str
    created: Moment
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    accession_number: str
    priority: Priority
    reason: list[str] = Field(description="positive findings that made the priority")
    findings: list[Finding]
    box: tuple[int, int, int, int] = Field(
        description="x0, y0, x1, y1 of the region the local branch saw: pixels of the sent image, exclusive end"
    )
    flags: list[str] = Field(examples=[["view_position_missing"]], description="what is suspicious but usable")
    model: Network
    links: Links
    timings_ms: Timings


class Item(Body):
    """One of several files sent together: its prediction or its problem."""

    filename: str
    status: int
    prediction: Prediction | None = None
    problem: Problem | None = None


class Page(Body):
    """Records, newest first."""

    items: list[Prediction]
    next: str | None = Field(description="cursor of the next page; null on the last")


class Maps(Body):
    """A record's maps; [h][w] numbers, the same h and w for all."""

    content: tuple[float, float, float, float] = Field(
        description="where on a map the image lies: x0, y0, x1, y1 in [0, 1]"
    )
    heat_map: list[list[float]] = Field(description="in [0, 1]")
    class_maps: dict[str, list[list[float]]] = Field(description="by label, in logit units")


def prediction_body(record: Summary) -> Prediction:
    """Return a record as an answer."""
    prediction = record.prediction
    return Prediction(
        schema="agcnn-triage/prediction/1",
        notice=NOTICE,
        id=record.id,
        created=record.created,
        study_instance_uid=record.study_instance_uid,
        series_instance_uid=record.series_instance_uid,
        sop_instance_uid=record.sop_instance_uid,
        accession_number=record.accession_number,
        priority=prediction.priority,
        reason=list(prediction.reason),
        findings=[_finding(finding) for finding in prediction.findings],
        box=prediction.box,
        flags=list(prediction.flags),
        model=network_body(prediction.network),
        links=links(record.id),
        timings_ms=Timings(**asdict(prediction.timings_ms)),
    )


def page_body(records: Sequence[Summary], following: str | None) -> Page:
    """Return a page of records as an answer."""
    return Page(items=[prediction_body(record) for record in records], next=following)


def maps_body(record: Record) -> Maps:
    """Return the maps of a record as an answer."""
    labels = [finding.label for finding in record.prediction.findings]
    return Maps(
        content=record.prediction.content,
        heat_map=_rounded(record.heat_map),
        class_maps={label: _rounded(map) for label, map in zip(labels, record.class_maps, strict=True)},
    )


def network_body(network: predictions.Network) -> Network:
    """Return the artefact of a prediction as part of an answer."""
    return Network(name=network.name, version=network.version, sha256=network.sha256)


def links(id: str) -> Links:
    """Return the paths below a record's own."""
    self = f"/v1/predictions/{id}"
    pictures = {part: f"{self}/{part}.png" for part in PARTS}
    objects = {str(kind): f"{self}/{kind.file_name}" for kind in Kind}
    return Links(self=self, **pictures, **objects)


def _finding(finding: findings.Finding) -> Finding:
    return Finding(
        label=finding.label,
        probability=finding.probability,
        threshold=finding.threshold,
        positive=finding.positive,
        sensitivity=finding.sensitivity,
        specificity=finding.specificity,
        **{"global": finding.global_},
        local=finding.local,
    )


def _rounded(map: npt.NDArray[np.float32]) -> list[list[float]]:
    values: list[list[float]] = map.astype(float).round(_DIGITS).tolist()
    return values

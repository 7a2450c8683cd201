"""Response bodies for predictions: their schemas, and the conversion of a record."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema, create_model
from starlette.responses import JSONResponse

from service.artefact.card import NOTICE, Notice
from service.http.forwarded import root_path
from service.http.presented import presentation
from service.http.problems import Problem
from service.objects.kinds import Kind, Presentation
from service.storage.record import Record, Summary
from service.triage import finding as findings
from service.triage import prediction as predictions
from service.triage.rule import Priority

PICTURES = ("image", "overlay", "heat_map", "crop")
_DIGITS = 8  # decimals of a map's values, about as many as float32 has: page and service draw the same levels


def moment(time: datetime) -> str:
    """Format a time in UTC to the millisecond, RFC 3339."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]
Moment = Annotated[AwareDatetime, PlainSerializer(moment), WithJsonSchema({"type": "string", "format": "date-time"})]


def printable(text: str) -> str:
    """Replace control characters and unpaired surrogates, which a database may refuse, with spaces."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


class Body(BaseModel):
    """A part of a response body; it refuses members that are not in its schema."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), serialize_by_alias=True)


def json_response(body: Body, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a response; the body was validated when it was created."""
    return JSONResponse(body.model_dump(mode="json"), headers=headers)


class Finding(Body):
    """The calibrated probability of one label, and its result at the operating point if there is one."""

    label: str = Field(examples=["Pneumothorax"])
    probability: Share | None = Field(
        description="calibrated probability of the fusion branch; null for a label that the network was not trained on"
    )
    threshold: Share | None = Field(
        description="threshold of the operating point; null where too few positives, or too low a sensitivity, "
        "allowed none"
    )
    positive: bool | None = Field(description="probability >= threshold")
    sensitivity: Share | None = Field(description="at the threshold, on the data named in the artefact's card")
    specificity: Share | None
    global_: Share | None = Field(alias="global", description="probability of the global branch")
    local: Share | None = Field(
        description="probability of the local branch; null if the network takes no second look (`second_look`)"
    )


class Network(Body):
    """The artefact that made the prediction."""

    name: str
    version: str
    sha256: str


_PLACE_LINK: Any = Field(
    None, exclude_if=lambda path: path is None, description="absent if TRIAGE_TRIAGE__PRESENTATION is triage_only"
)


class _Links(Body):
    """Paths of the prediction, its pictures, what readers add to it, and its objects for other systems."""

    self: str
    image: str
    overlay: str | None = _PLACE_LINK
    heat_map: str | None = _PLACE_LINK
    crop: str | None = _PLACE_LINK
    acknowledgement: str
    measurements: str


_OBJECT_LINKS: dict[str, Any] = {
    str(kind): (str | None, _PLACE_LINK) if kind.form.is_place else (str, ...) for kind in Kind
}
Links = create_model("Links", __base__=_Links, __doc__=_Links.__doc__, **_OBJECT_LINKS)


class Timings(Body):
    """Milliseconds spent in each stage when the prediction was made."""

    read: Milliseconds
    decode: Milliseconds
    prepare: Milliseconds
    queue: Milliseconds = Field(description="time spent waiting for the network")
    infer: Milliseconds
    store: Milliseconds = Field(description="time to write the instance to disk")


class Prediction(Body):
    """A prediction: a finding for each label, a priority, and the region where the network looked."""

    schema_: Literal["agcnn-triage/prediction/1"] = Field(alias="schema")
    notice: Notice
    id: str
    created: Moment
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    accession_number: str
    priority: Priority
    reason: list[str] = Field(description="positive findings that determined the priority")
    findings: list[Finding]
    box: tuple[int, int, int, int] | None = Field(
        description="x0, y0, x1, y1 of the region of attention in pixels of the original image, exclusive end; null if "
        "TRIAGE_TRIAGE__PRESENTATION is triage_only"
    )
    second_look: bool = Field(
        description="whether the local branch examined the box; if not, the global branch alone decided"
    )
    flags: list[str] = Field(
        examples=[["view_position_missing"]], description="codes of what is unusual about an image that is still usable"
    )
    model: Network
    links: Links
    timings_ms: Timings


class Item(Body):
    """The prediction or the problem of one of several files posted together."""

    filename: str
    status: int
    prediction: Prediction | None = None
    problem: Problem | None = None


class Page(Body):
    """A page of predictions, newest first."""

    items: list[Prediction]
    next: str | None = Field(description="cursor of the next page; null on the last")


class Maps(Body):
    """The maps of a prediction: [h][w] numbers, the same h and w for all."""

    content: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 in [0, 1]: the part of a map that the image covers"
    )
    heat_map: list[list[float]] = Field(description="values in [0, 1]")
    class_maps: dict[str, list[list[float]]] = Field(
        description="one map for each label that the network was trained on, in logit units"
    )
    references: dict[str, float | None] = Field(
        description="value of each class map that pictures draw with half of their opacity; null where the artefact "
        "states none, and the map's own maximum is taken"
    )


def prediction_body(record: Summary) -> Prediction:
    """Return a record as a response body."""
    prediction, has_place = record.prediction, presentation() is Presentation.FULL
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
        box=prediction.box if has_place else None,
        second_look=prediction.second_look,
        flags=list(prediction.flags),
        model=network_body(prediction.network),
        links=links(record.id),
        timings_ms=Timings(**asdict(prediction.timings_ms)),
    )


def page_body(records: Sequence[Summary], following: str | None) -> Page:
    """Return a page of records as a response body."""
    return Page(items=[prediction_body(record) for record in records], next=following)


def maps_body(record: Record) -> Maps:
    """Return the maps of a record as a response body."""
    evaluated = record.prediction.evaluated
    pairs = zip(record.prediction.findings, record.class_maps, strict=True)
    return Maps(
        content=record.prediction.content,
        heat_map=_rounded(record.heat_map),
        class_maps={finding.label: _rounded(map) for finding, map in pairs if finding.probability is not None},
        references={finding.label: finding.map_reference for finding in evaluated},
    )


def network_body(network: predictions.Network) -> Network:
    """Return the artefact of a prediction as part of a response body."""
    return Network(name=network.name, version=network.version, sha256=network.sha256)


def links(id: str) -> Links:
    """Return the paths of a record and of what is below it, relative to the host of the request."""
    self = f"{root_path()}/v1/predictions/{id}"
    shown = presentation()
    pictures = {part: f"{self}/{part}.png" for part in PICTURES if part == "image" or shown is Presentation.FULL}
    objects = {str(kind): f"{self}/{kind.file_name}" for kind in Kind if shown.shows(kind)}
    added = {name: f"{self}/{name}" for name in ("acknowledgement", "measurements")}
    return Links(self=self, **pictures, **added, **objects)


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

"""What the interface sends, as a schema: the documents of `/v1/predictions`."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.http.problems import Problem

Share = Annotated[float, Field(ge=0, le=1)]
Priority = Literal["STAT", "HIGH", "ROUTINE"]
Milliseconds = Annotated[float, Field(ge=0)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Finding(_Body):
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


class Network(_Body):
    """Which artefact answered."""

    name: str
    version: str
    sha256: str


class Links(_Body):
    """Paths of the record, its pictures, and its objects for other systems."""

    self: str
    image: str
    overlay: str
    heat_map: str
    crop: str
    sr: str
    segmentation: str
    secondary_capture: str
    presentation_state: str
    fhir: str


class Timings(_Body):
    """Milliseconds in each stage, when the record was made."""

    read: Milliseconds
    decode: Milliseconds
    prepare: Milliseconds
    queue: Milliseconds = Field(description="waiting for the network")
    infer: Milliseconds
    store: Milliseconds = Field(description="until the instance is on disk")


class Prediction(_Body):
    """One record: fourteen findings, a priority, and where the network looked."""

    schema_: Literal["agcnn-triage/prediction/1"] = Field(alias="schema")
    notice: Literal["Research use only. Not a medical device."]
    id: str
    created: AwareDatetime
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


class Item(_Body):
    """One of several files sent together: its prediction or its problem."""

    filename: str
    status: int
    prediction: Prediction | None = None
    problem: Problem | None = None


class Page(_Body):
    """Records, newest first."""

    items: list[Prediction]
    next: str | None = Field(description="cursor of the next page; null on the last")

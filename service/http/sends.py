"""Orders to send the objects of a prediction to other systems."""

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.destinations import DicomKind
from service.http.auth import needs
from service.http.dependencies import PipelineDep, SenderDep
from service.http.problems import RESPONSES
from service.objects.kinds import Kind
from service.storage.acknowledgement import OPEN
from service.storage.outbox import Delivery, State

router = APIRouter(prefix="/v1/predictions/{id}", tags=["sending"], responses=RESPONSES)


class Order(BaseModel):
    """The objects to send and their destination."""

    model_config = ConfigDict(extra="forbid")

    destination: str = Field(max_length=64, description="name from TRIAGE_SENDING__DESTINATIONS")
    objects: list[DicomKind] | None = Field(
        None, min_length=1, max_length=8, description="for DICOM destinations; by default those of its settings"
    )


class Send(BaseModel):
    """One object on its way to a destination."""

    model_config = ConfigDict(extra="forbid")

    id: str
    destination: str
    object: Kind
    state: State
    attempts: int = Field(description="number of attempts so far")
    due: AwareDatetime | None = Field(
        description="earliest time of the next attempt; null unless waiting, or repeating until it is acknowledged"
    )
    error: str | None = Field(description="code of the last failure", examples=["unreachable"])
    created: AwareDatetime
    finished: AwareDatetime | None
    received: int = Field(description="number of times that the destination has received it")


class Sends(BaseModel):
    """All orders for a prediction."""

    items: list[Send]


@router.post("/send", status_code=202, dependencies=[needs("predict")])
async def send(id: str, order: Order, pipeline: PipelineDep, sender: SenderDep) -> Sends:
    """Order objects to be sent to a destination. When the answer arrives, the order is stored and survives a restart.

    An object that is already waiting stays so; one that was sent, or failed, is sent again.
    """
    for kind in order.objects or ():
        pipeline.stored.require(kind)
    await pipeline.stored.get(id)
    return _sends(await sender.order(id, order.destination, order.objects))


@router.get("/sends", dependencies=[needs("read")])
async def sends(id: str, pipeline: PipelineDep, sender: SenderDep) -> Sends:
    """Return the state of every order for a prediction."""
    await pipeline.stored.get(id)
    return _sends(await sender.entries(id))


def _sends(entries: tuple[Delivery, ...]) -> Sends:
    return Sends(items=[_send(entry) for entry in entries])


def _send(entry: Delivery) -> Send:
    return Send(
        id=entry.id,
        destination=entry.destination,
        object=entry.object,
        state=entry.state,
        attempts=entry.attempts,
        due=entry.due if entry.state in OPEN else None,
        error=entry.error or None,
        created=entry.created,
        finished=entry.finished,
        received=entry.received,
    )

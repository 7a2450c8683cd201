"""The readers' measurements on the radiograph of a prediction: length, angle and cardiothoracic ratio."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from service.dicom.grid import Grid
from service.errors import InvalidRequest
from service.http.acknowledgement import By
from service.http.auth import needs
from service.http.bodies import Body, Moment, json_response, printable
from service.http.dependencies import MeasurementsDep, PipelineDep
from service.http.problems import RESPONSES
from service.triage import measurement as triage
from service.triage.measurement import POINTS, Kind, Point, Unit, is_degenerate, quantity

router = APIRouter(prefix="/v1/predictions/{id}/measurements", tags=["measurements"], responses=RESPONSES)

_DIGITS = 4
_KIND = (
    "length: two points; angle: three, the second is the vertex; cardiothoracic_ratio: four, two borders of the heart "
    "and two inner borders of the chest wall, of which the horizontal distances count"
)
_POINTS = "(column, row) in pixels of the image; (0, 0) is its top left corner, (.5, .5) the centre of the first pixel"
_Coordinate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class NewMeasurement(BaseModel):
    """A measurement to keep; its value is computed from its points."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind = Field(description=_KIND)
    points: list[tuple[_Coordinate, _Coordinate]] = Field(min_length=2, max_length=4, description=_POINTS)
    by: str = Field("", max_length=64, description="name or initials; by default the name of the key")


class Measurement(Body):
    """A measurement on the radiograph."""

    id: str
    kind: Kind = Field(description=_KIND)
    points: list[tuple[float, float]] = Field(description=_POINTS)
    value: float
    unit: Unit = Field(description="px where the file states no spacing; 1 is the unit of a ratio")
    spacing_from: str | None = Field(
        description="attribute of the file whose spacing the value uses; a length from ImagerPixelSpacing is that at "
        "the detector, which is larger than in the patient"
    )
    at: Moment
    by: str


class Measurements(Body):
    """The measurements on a radiograph, oldest first."""

    items: list[Measurement]


@router.get("", dependencies=[needs("read")], response_model=Measurements)
async def measurements(id: str, stored: MeasurementsDep) -> JSONResponse:
    """List the measurements, oldest first, without those that were deleted."""
    listed = await asyncio.to_thread(stored.list, id)
    return json_response(Measurements(items=[_body(measurement) for measurement in listed]))


@router.post("", dependencies=[needs("predict")], status_code=201, response_model=Measurement)
async def measure(
    id: str, new: NewMeasurement, request: Request, pipeline: PipelineDep, stored: MeasurementsDep
) -> JSONResponse:
    """Keep a measurement, with name and time.

    The structured report is another one after each change of the measurements, and is sent to every destination that an
    earlier one was ordered for.
    """
    record = await pipeline.stored.get(id)
    with pipeline.admitted():
        grid = await pipeline.stored.grid(record)
    points = tuple(new.points)
    _check(new.kind, points, grid)
    by = printable(new.by) or request.state.key or ""
    made = await asyncio.to_thread(stored.add, id, new.kind, points, grid, by)
    answer = json_response(_body(made))
    answer.status_code = 201
    return answer


@router.delete("/{measurement}", dependencies=[needs("predict")], status_code=204)
async def delete_measurement(
    id: str, measurement: str, request: Request, stored: MeasurementsDep, person: By | None = None
) -> None:
    """Delete a measurement, with name and time."""
    by = printable(person.by if person else "") or request.state.key or ""
    await asyncio.to_thread(stored.delete, id, measurement, by)


def _check(kind: Kind, points: tuple[Point, ...], grid: Grid) -> None:
    """Refuse points of which there is no value.

    Raises
    ------
    InvalidRequest
    """
    if len(points) != POINTS[kind]:
        raise InvalidRequest(f"expected {POINTS[kind]} points for {kind}, got {len(points)}", "points_wrong_number")
    if any(column > grid.columns or row > grid.rows for column, row in points):
        raise InvalidRequest(
            f"expected points within the image of {grid.columns} x {grid.rows} pixels", "points_outside"
        )
    if is_degenerate(kind, points):
        raise InvalidRequest("expected points that differ, got one twice", "points_equal")


def _body(measurement: triage.Measurement) -> Measurement:
    value = quantity(measurement)
    return Measurement(
        id=measurement.id,
        kind=measurement.kind,
        points=list(measurement.points),
        value=round(value.value, _DIGITS),
        unit=value.unit,
        spacing_from=measurement.grid.spacing_from if value.unit == "mm" else None,
        at=measurement.at,
        by=measurement.by,
    )

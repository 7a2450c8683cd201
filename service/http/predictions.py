"""Predictions: predict, list, get, delete, and draw."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from service.http.auth import client_of, needs
from service.http.bodies import Item, Page, Prediction, json_response, page_body, prediction_body
from service.http.caching import cache_headers, is_fresh
from service.http.dependencies import PipelineDep
from service.http.headers import INSTANCE_HEADER
from service.http.problems import RESPONSES, note, problem
from service.http.uploads import FORM, PART_NAMES, RAW, Upload, expected_bytes, receive_files
from service.objects.drawing import Drawing
from service.prediction.pipeline import Pipeline

router = APIRouter(prefix="/v1/predictions", tags=["predictions"], responses=RESPONSES)

_READ = needs("read")
_BINARY = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {"schema": {"type": "object", "properties": {PART_NAMES[0]: {"type": "array", "items": _BINARY}}}},
            RAW[0]: {"schema": _BINARY},
        },
    }
}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {"schema": _BINARY}}}, 304: {}}


class Size(BaseModel):
    """Size of a picture."""

    model_config = ConfigDict(extra="forbid")  # a misspelt parameter is an error

    width: int | None = Field(None, ge=16, le=4096, description="in pixels; by default that of the image")


class OverlayOptions(Size):
    """Options of an overlay."""

    map: Literal["finding", "heat_map"] = Field(
        "finding", description="the class map of a finding, or the heat map, which belongs to no finding"
    )
    finding: str | None = Field(
        None,
        description="label of the class map to draw; by default of the finding that made the priority, and none where "
        "no finding is positive",
    )
    alpha: float = Field(0.6, ge=0, le=1, description="opacity where the map is strongest")
    colormap: Literal["viridis", "inferno", "turbo"] = "viridis"
    box: Literal["0", "1"] | None = Field(
        None, description="by default drawn where a finding is positive and the local branch examined the box"
    )


async def _width(size: Annotated[Size, Query()]) -> int | None:
    return size.width


Width = Annotated[int | None, Depends(_width)]


@router.post(
    "", dependencies=[needs("predict")], openapi_extra=_BODY, responses={200: {"model": Prediction | list[Item]}}
)
async def predict(request: Request, pipeline: PipelineDep) -> JSONResponse:
    """Predict one radiograph, or several.

    Send `multipart/form-data` with one or several parts named `file`, or the bytes of one DICOM file as
    `application/dicom`. The answer to one file is its prediction; to several, a list with the prediction or problem of
    each. When the answer arrives, the result is on disk. Posting a file again returns the same prediction. A single
    file is refused if its SOP Instance UID is not that of the header `X-Sop-Instance-Uid`, if there is one.
    """
    limits = request.app.state.limits
    with pipeline.accepting(client_of(request), expected_bytes(request, limits.max_body_bytes)):
        async with receive_files(request, limits, pipeline.receive) as uploads:
            with pipeline.admitted():
                if len(uploads) > 1:
                    return JSONResponse(await _predict_each(pipeline, uploads))
                # The acceptor sends it: C-STORE must not acknowledge another instance than it names, PS3.4 B.2.3.
                announced = request.headers.get(INSTANCE_HEADER)
                record = await pipeline.predict(uploads[0].checked(), instance=announced)
                return json_response(prediction_body(record))


@router.get("", dependencies=[_READ], response_model=Page)
async def list_predictions(
    pipeline: PipelineDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
) -> JSONResponse:
    """List predictions, newest first."""
    records, following = await pipeline.stored.list(limit, cursor)
    return json_response(page_body(records, following))


@router.get("/{id}", dependencies=[_READ], response_model=Prediction)
async def get_prediction(id: str, pipeline: PipelineDep) -> JSONResponse:
    """Return a prediction."""
    return json_response(prediction_body(await pipeline.stored.get(id)))


@router.delete("/{id}", dependencies=[needs("admin")], status_code=204)
async def delete_prediction(id: str, pipeline: PipelineDep) -> None:
    """Delete a prediction, and its DICOM file unless another prediction uses it."""
    await pipeline.stored.delete(id)


@router.get("/{id}/overlay.png", dependencies=[_READ], response_class=Response, responses=_PICTURE)
async def overlay(
    id: str, request: Request, pipeline: PipelineDep, options: Annotated[OverlayOptions, Query()]
) -> Response:
    """Draw map and box over the radiograph, and a legend below it.

    The map shows where the network looked, not the outline of a lesion.
    """
    drawing = Drawing(
        "overlay",
        width=options.width,
        map=options.map,
        finding=options.finding,
        box=None if options.box is None else options.box == "1",
        alpha=options.alpha,
        colormap=options.colormap,
    )
    return await _picture(pipeline, request, id, drawing)


@router.get("/{id}/image.png", dependencies=[_READ], response_class=Response, responses=_PICTURE)
async def image(id: str, request: Request, pipeline: PipelineDep, width: Width = None) -> Response:
    """Draw the radiograph alone, 8-bit grey."""
    return await _picture(pipeline, request, id, Drawing("image", width))


@router.get("/{id}/heat_map.png", dependencies=[_READ], response_class=Response, responses=_PICTURE)
async def heat_map(id: str, request: Request, pipeline: PipelineDep, width: Width = None) -> Response:
    """Draw the heat map alone, 16-bit grey."""
    return await _picture(pipeline, request, id, Drawing("heat_map", width))


@router.get("/{id}/crop.png", dependencies=[_READ], response_class=Response, responses=_PICTURE)
async def crop(id: str, request: Request, pipeline: PipelineDep, width: Width = None) -> Response:
    """Draw the region of attention, 8-bit grey; the local branch examined it if `second_look` is true."""
    return await _picture(pipeline, request, id, Drawing("crop", width))


async def _picture(pipeline: Pipeline, request: Request, id: str, drawing: Drawing) -> Response:
    if drawing.part != "image":
        pipeline.stored.require()
    record = await pipeline.stored.get(id)  # 404 after deletion, even if the client has a copy
    headers = cache_headers(request, (id, drawing))
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    with pipeline.admitted():
        return Response(await pipeline.stored.draw(record, drawing), media_type="image/png", headers=headers)


async def _predict_each(pipeline: Pipeline, uploads: Sequence[Upload]) -> list[dict[str, Any]]:
    """Predict several files, as many at once as there are free places; no file is refused for lack of a place."""
    items: list[dict[str, Any]] = [{} for _ in uploads]
    waiting = iter(enumerate(uploads))

    async def work(waiting: Iterator[tuple[int, Upload]]) -> None:
        for index, upload in waiting:
            items[index] = await _item(pipeline, upload)

    with pipeline.places.spare(len(uploads) - 1) as more:
        await asyncio.gather(*(work(waiting) for _ in range(1 + more)))
    return items


async def _item(pipeline: Pipeline, upload: Upload) -> dict[str, Any]:
    try:
        record = await pipeline.predict(upload.checked())
    except Exception as error:  # a bad file does not affect the others
        note(error)
        described = problem(error)
        document = described.model_dump(exclude_none=True)
        return {"filename": upload.filename, "status": described.status, "problem": document}
    return {"filename": upload.filename, "status": 200, "prediction": prediction_body(record).model_dump(mode="json")}

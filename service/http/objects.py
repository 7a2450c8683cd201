"""A prediction as other systems take it: DICOM objects for an archive, FHIR for a record system."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.http.auth import needs
from service.http.caching import is_fresh, tagged
from service.http.dependencies import Door
from service.http.problems import RESPONSES
from service.objects.kinds import Kind
from service.prediction.pipeline import Pipeline

router = APIRouter(prefix="/v1/predictions/{id}", tags=["objects"], dependencies=[needs("read")], responses=RESPONSES)

DICOM, FHIR = "application/dicom", "application/fhir+json"
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {DICOM: {"schema": {"type": "string", "format": "binary"}}}},
    304: {},
}
_BUNDLE: dict[int | str, dict[str, Any]] = {200: {"content": {FHIR: {"schema": {"type": "object"}}}}, 304: {}}


@router.get("/sr.dcm", response_class=Response, responses=_FILE)
async def sr(id: str, request: Request, pipeline: Door) -> Response:
    """Give the findings as a Comprehensive 3D SR, TID 1500."""
    return await _object(pipeline, request, id, "sr")


@router.get("/segmentation.dcm", response_class=Response, responses=_FILE)
async def segmentation(id: str, request: Request, pipeline: Door) -> Response:
    """Give the heat map, and the class maps of positive findings, as a fractional Segmentation."""
    return await _object(pipeline, request, id, "segmentation")


@router.get("/secondary_capture.dcm", response_class=Response, responses=_FILE)
async def secondary_capture(id: str, request: Request, pipeline: Door) -> Response:
    """Give the overlay as a Secondary Capture."""
    return await _object(pipeline, request, id, "secondary_capture")


@router.get("/presentation_state.dcm", response_class=Response, responses=_FILE)
async def presentation_state(id: str, request: Request, pipeline: Door) -> Response:
    """Give the box and the positive findings as a Grayscale Softcopy Presentation State."""
    return await _object(pipeline, request, id, "presentation_state")


@router.get("/fhir.json", response_class=Response, responses=_BUNDLE)
async def fhir(id: str, request: Request, pipeline: Door) -> Response:
    """Give the findings as a FHIR R4 bundle: DiagnosticReport, Observations, Device."""
    return await _object(pipeline, request, id, "fhir")


async def _object(pipeline: Pipeline, request: Request, id: str, kind: Kind) -> Response:
    await pipeline.archive.get(id)  # a deleted one is 404, whatever the client has kept
    headers = tagged(request, (id, kind))
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    with pipeline.admitted():
        media_type = FHIR if kind == "fhir" else DICOM
        return Response(await pipeline.archive.render(id, kind), media_type=media_type, headers=headers)

"""What a viewer draws itself: the radiograph before any window, and the maps as numbers."""

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.dicom.unwindowed import Unwindowed
from service.http.auth import needs
from service.http.bodies import Maps, json_response, maps_body
from service.http.caching import is_fresh, tagged
from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES

router = APIRouter(prefix="/v1/predictions", tags=["predictions"], responses=RESPONSES)

HEADER = "X-Pixels"
_READ = needs("read")
_BINARY = {"type": "string", "format": "binary"}


_PIXELS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/octet-stream": {"schema": _BINARY}},
        "headers": {
            HEADER: {
                "description": "JSON: rows, columns, slope, intercept, padding, invert, voi_lut, windows, spacing, "
                "spacing_from, aspect, orientation",
                "schema": {"type": "string"},
            }
        },
    },
    304: {},
}


@router.get("/{id}/pixels", dependencies=[_READ], response_class=Response, responses=_PIXELS)
async def pixels(id: str, request: Request, pipeline: PipelineDep) -> Response:
    """Give the radiograph before any window: rows x columns of little-endian uint16.

    The value is slope x code + intercept, after Modality LUT, and VOI LUT where there is one. `X-Pixels` has the rest:
    apply a window (the first is what the service shows), then invert once if `invert`, then draw the pixels whose code
    is `padding` black.
    """
    record = await pipeline.stored.get(id)
    headers = tagged(request, (id, "pixels"))
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    with pipeline.admitted():
        found = await pipeline.stored.unwindowed(record)
    content = found.codes.astype("<u2", copy=False).tobytes()
    return Response(content, media_type="application/octet-stream", headers=headers | {HEADER: _described(found)})


@router.get("/{id}/maps.json", dependencies=[_READ], response_model=Maps, responses={304: {}})
async def maps(id: str, request: Request, pipeline: PipelineDep) -> Response:
    """Give the heat map and every finding's class map as numbers."""
    record = await pipeline.stored.get(id)
    headers = tagged(request, (id, "maps"))
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    return json_response(maps_body(record), headers)


def _described(found: Unwindowed) -> str:
    rows, columns = found.codes.shape
    return json.dumps(
        {
            "rows": rows,
            "columns": columns,
            "slope": found.slope,
            "intercept": found.intercept,
            "padding": found.padding,
            "invert": found.invert,
            "voi_lut": found.voi_lut,
            "windows": [vars(one) for one in found.windows],
            "spacing": found.spacing,
            "spacing_from": found.spacing_from,
            "aspect": found.aspect,
            "orientation": found.orientation,
        },
        allow_nan=False,
    )

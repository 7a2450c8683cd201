"""Values for a viewer that draws by itself: the radiograph before any window, and the maps."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from service.dicom.unwindowed import Unwindowed
from service.http.auth import needs
from service.http.bodies import Maps, json_response, maps_body
from service.http.caching import cache_headers, is_fresh
from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES

router = APIRouter(prefix="/v1/predictions", tags=["predictions"], responses=RESPONSES)

HEADER = "X-Pixels"
_CHUNK = 2**20  # bytes
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
    """Return the radiograph before any window: rows x columns of little-endian uint16 codes.

    The value of a pixel is slope x code + intercept, after the Modality LUT and the VOI LUT if there is one. The header
    `X-Pixels` has all other values. To draw: apply a window (the service uses the first), invert once if `invert`, and
    make the pixels whose code is `padding` black.
    """
    record = await pipeline.stored.get(id)
    headers = cache_headers(request, (id, "pixels"))
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    with pipeline.admitted():
        image = await pipeline.stored.unwindowed(record)
    content = image.codes.astype("<u2", copy=False).reshape(-1).view(np.uint8).data
    headers |= {HEADER: _header(image), "Content-Length": str(len(content))}
    return StreamingResponse(_chunks(content), media_type="application/octet-stream", headers=headers)


@router.get("/{id}/maps.json", dependencies=[_READ], response_model=Maps, responses={304: {}})
async def maps(id: str, request: Request, pipeline: PipelineDep) -> Response:
    """Return the heat map and the class map of every finding as numbers."""
    pipeline.stored.require()
    record = await pipeline.stored.get(id)
    headers = cache_headers(request, (id, "maps"))
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    return json_response(maps_body(record), headers)


async def _chunks(content: memoryview) -> AsyncIterator[memoryview]:
    """Yield bytes as fast as the client reads them, so that nothing is copied for one who does not."""
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]


def _header(image: Unwindowed) -> str:
    rows, columns = image.codes.shape
    return json.dumps(
        {
            "rows": rows,
            "columns": columns,
            "slope": image.slope,
            "intercept": image.intercept,
            "padding": image.padding,
            "invert": image.invert,
            "voi_lut": image.voi_lut,
            "windows": [vars(window) for window in image.windows],
            "spacing": image.spacing,
            "spacing_from": image.spacing_from,
            "aspect": image.aspect,
            "orientation": image.orientation,
        },
        allow_nan=False,
    )

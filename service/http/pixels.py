"""What a viewer draws itself: the radiograph before any window, and the maps as numbers."""

import json
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from service.dicom.unwindowed import Unwindowed
from service.http.auth import needs
from service.http.caching import is_fresh, tagged
from service.http.dependencies import Door
from service.http.problems import RESPONSES

router = APIRouter(prefix="/v1/predictions", tags=["predictions"], responses=RESPONSES)

HEADER = "X-Pixels"
_READ = needs("read")
_BINARY = {"type": "string", "format": "binary"}


class Maps(BaseModel):
    """A record's maps; [h][w] numbers, the same h and w for all."""

    model_config = ConfigDict(extra="forbid")

    content: tuple[float, float, float, float] = Field(
        description="where on a map the image lies: x0, y0, x1, y1 in [0, 1]"
    )
    heat_map: list[list[float]] = Field(description="in [0, 1]")
    class_maps: dict[str, list[list[float]]] = Field(description="by label, in logit units")


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
async def pixels(id: str, request: Request, pipeline: Door) -> Response:
    """Give the radiograph before any window: rows x columns of little-endian uint16.

    The value is slope x code + intercept, after Modality LUT, and VOI LUT where there is one. `X-Pixels` has the rest:
    apply a window (the first is what the service shows), then invert once if `invert`, then draw the pixels whose code
    is `padding` black.
    """
    await pipeline.archive.get(id)
    headers = tagged(request, (id, "pixels"))
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    with pipeline.admitted():
        found = await pipeline.archive.unwindowed(id)
    content = found.codes.astype("<u2", copy=False).tobytes()
    return Response(content, media_type="application/octet-stream", headers=headers | {HEADER: _described(found)})


@router.get("/{id}/maps.json", dependencies=[_READ], response_model=Maps, responses={304: {}})
async def maps(id: str, request: Request, pipeline: Door) -> Response:
    """Give the heat map and every finding's class map as numbers."""
    found = await pipeline.archive.maps(id)
    headers = tagged(request, (id, "maps"))
    return (
        Response(status_code=304, headers=headers) if is_fresh(request, headers) else JSONResponse(found, 200, headers)
    )


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

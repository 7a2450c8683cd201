"""Objects of a prediction for other systems: DICOM for an archive, FHIR and HL7 for record systems."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.http.auth import needs
from service.http.caching import cache_headers, is_fresh
from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES
from service.objects.kinds import Kind

router = APIRouter(prefix="/v1/predictions/{id}", tags=["objects"], dependencies=[needs("read")], responses=RESPONSES)

Route = Callable[[str, Request, PipelineDep], Awaitable[Response]]


def _route(kind: Kind) -> Route:
    async def get_object(id: str, request: Request, pipeline: PipelineDep) -> Response:
        pipeline.stored.require(kind)
        record = await pipeline.stored.get(id)  # 404 after deletion, even if the client has a copy
        headers = cache_headers(request, (id, pipeline.stored.presentation.part(kind, record.revision)))
        if is_fresh(request, headers):
            return Response(status_code=304, headers=headers)
        with pipeline.admitted():
            content = await pipeline.stored.render(record, kind)
        return Response(content, media_type=kind.form.media_type, headers=headers)

    return get_object


def _responses(kind: Kind) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "object"} if kind.form.suffix == "json" else {"type": "string", "format": "binary"}
    return {200: {"content": {kind.form.media_type: {"schema": schema}}}, 304: {}}


for _kind in Kind:
    router.add_api_route(
        f"/{_kind.file_name}",
        _route(_kind),
        name=_kind,
        description=f"Return {_kind.form.content}.",
        response_class=Response,
        responses=_responses(_kind),
    )

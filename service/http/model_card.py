"""What network answers here: the card of the artefact."""

from typing import Any

from fastapi import APIRouter

from service.http.auth import needs
from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES

router = APIRouter(tags=["model"], responses=RESPONSES)


@router.get("/v1/model", dependencies=[needs("read")])
async def model_card(pipeline: PipelineDep) -> dict[str, Any]:
    """Give the artefact's card: labels, operating points, training data, metrics; its SHA-256; the provider.

    `model_card`, where the artefact has one, is for people: intended use, results by group, caveats (Mitchell et al.
    2019). `statistics.typicality`, where it has one, says how often the flag `atypical_image` is raised on real chest
    radiographs. `provider` is what ONNX Runtime really computes on, `cuda` or `cpu`; null until it is known. Left out
    are the vectors of the self-test and of the flag.
    """
    return pipeline.card

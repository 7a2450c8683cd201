"""The card of the artefact in use."""

from typing import Any

from fastapi import APIRouter

from service.http.auth import needs
from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES

router = APIRouter(tags=["model"], responses=RESPONSES)


@router.get("/v1/model", dependencies=[needs("read")])
async def model_card(pipeline: PipelineDep) -> dict[str, Any]:
    """Return the artefact's card: labels, operating points, training data, metrics, SHA-256 and provider.

    `model_card`, if the artefact has one, is for people: intended use, results by group, caveats (Mitchell et al.
    2019). `statistics.typicality`, if the artefact has it, holds how often the flag `atypical_image` is raised on real
    chest radiographs. `provider` is what ONNX Runtime computes on, `cuda` or `cpu`; null until it is known. The vectors
    of the self-test and of the flag are left out.
    """
    return pipeline.predictor.card

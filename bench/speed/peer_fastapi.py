"""A plain FastAPI application: the body to a thread of the pool, the answer as JSON."""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from bench.speed.peer_model import Model

app = FastAPI()
model = Model(Path(os.environ["PEER_ARTEFACT"]))


@app.post("/predict")
async def predict(request: Request) -> dict[str, Any]:
    return await run_in_threadpool(model.predict, await request.body())


@app.get("/health")
def health() -> str:
    return "ok"

"""Applications in this process: settings for tests, and a client that runs the lifespan (httpx does not)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from service.http.app import create_app
from service.prediction.pipeline import Pipeline
from service.settings import Database, Limits, Model, Runtime, Settings, Storage

LIMITS = Limits(decode_workers=1)


class Client:
    """An HTTP client of an application, with its own event loop."""

    def __init__(self, runner: asyncio.Runner, http: httpx.AsyncClient, app: FastAPI) -> None:
        self.runner, self.http, self.app = runner, http, app

    @property
    def pipeline(self) -> Pipeline:
        pipeline: Pipeline = self.app.state.pipeline
        return pipeline

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.runner.run(self.http.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, data: bytes, media_type: str = "application/dicom") -> httpx.Response:
        return self.request("POST", "/v1/predictions", content=data, headers={"Content-Type": media_type})

    def post_files(self, *files: tuple[str, bytes], part: str = "file") -> httpx.Response:
        return self.request("POST", "/v1/predictions", files=[(part, file) for file in files])

    def wait_until_ready(self) -> None:
        async def wait() -> None:
            async with asyncio.timeout(300):  # on a busy machine; a start that fails is seen at once
                while (await self.http.get("/readyz")).status_code != 200:
                    assert self.pipeline.failure is None, self.pipeline.failure
                    await asyncio.sleep(0.05)

        self.runner.run(wait())


@contextmanager
def client_of(app: FastAPI) -> Iterator[Client]:
    """Run an application with its lifespan; the service may not be ready yet."""
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        try:
            yield Client(runner, http, app)
        finally:
            runner.run(http.aclose())
            runner.run(lifespan.__aexit__(None, None, None))


@contextmanager
def serving(settings: Settings) -> Iterator[Client]:
    """Run the service, and yield a client once it is ready."""
    with client_of(create_app(settings)) as client:
        client.wait_until_ready()
        yield client


def settings_for(artefact: Path, folder: Path, limits: Limits = LIMITS, url: str | None = None) -> Settings:
    """Return settings that store everything in `folder`, or the records in another database."""
    return Settings(
        runtime=Runtime(threads=1),
        model=Model(path=artefact),
        storage=Storage(folder=folder),
        database=Database(url=None if url is None else SecretStr(url)),
        limits=limits,
    )

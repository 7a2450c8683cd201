"""The whole service while somebody kills its decoder processes: every request is answered, and no place is lost."""

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np

from service.settings import Limits
from tests.factories import dicom_bytes
from tests.service.serving import Client, serving, settings_for

# A file that is decoded slowly would be at fault, and answered 422.
LIMITS = Limits(decode_workers=2, decode_seconds=60, max_in_flight=16, requests_per_second=0)
KILLS = 20
CLIENTS = 12


def test_every_request_is_answered_and_no_place_is_lost(artefact: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (1500, 1500)).astype(np.uint16)
    with serving(settings_for(artefact, tmp_path, LIMITS)) as client:
        answers = client.runner.run(_kill_and_post(client, dicom_bytes(pixels)))

        assert sum(answers.values()) >= CLIENTS
        assert set(answers) <= {200, 503}, answers
        assert client.pipeline.places.free == LIMITS.max_in_flight
        assert client.post(dicom_bytes(pixels)).status_code == 200


async def _kill_and_post(client: Client, data: bytes) -> Counter[int]:
    """Post from several clients until the last kill; count the answers by their status."""
    answers, killing = Counter[int](), True

    async def post() -> httpx.Response:
        return await client.http.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})

    async def repeat() -> None:
        while killing:
            answers[(await post()).status_code] += 1

    posting = [asyncio.create_task(repeat()) for _ in range(CLIENTS)]
    await _kill(random.Random(0))
    killing = False
    async with asyncio.timeout(300):
        await asyncio.gather(*posting)
    return answers


async def _kill(generator: random.Random) -> None:
    killed, end = 0, time.monotonic() + 300
    while killed < KILLS and time.monotonic() < end:
        await asyncio.sleep(generator.uniform(0.1, 0.9))
        processes = multiprocessing.active_children()
        if processes:
            with suppress(ValueError, ProcessLookupError):  # it has just been replaced
                os.kill(generator.choice(processes).pid or 0, signal.SIGKILL)
                killed += 1
    assert killed == KILLS

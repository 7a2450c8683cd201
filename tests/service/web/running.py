"""The service in a process of its own, for a browser."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.conftest import ROOT
from tests.factories import dicom_bytes

_SERVE = "from service.cli.app import main; main()"  # the code of this tree, even if another is installed


@contextmanager
def running(artefact: Path, folder: Path, **settings: str) -> Iterator[httpx.Client]:
    """Start the service on a free port and yield a client once it is ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")} | {
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_METRICS__PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(folder / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "TRIAGE_RUNTIME__THREADS": "1",
        **settings,
    }
    with (folder / "log").open("a") as log:
        command = [sys.executable, "-c", _SERVE, "serve"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        with httpx.Client(base_url=address, timeout=60) as client:
            deadline = time.monotonic() + 300
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=60)


def post(client: httpx.Client, data: bytes) -> dict[str, Any]:
    """Send one file and return the prediction."""
    answer = client.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def clouds(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a smooth random image [H, W] uint16 in [0, 4095]."""
    coarse = np.random.default_rng(seed).random((6, 6), dtype=np.float32)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.rint(np.clip(smooth, 0, 1) * 4095).astype(np.uint16)


def radiograph(number: int, size: tuple[int, int] = (280, 260), **elements: Any) -> bytes:
    """Return a DICOM file with a smooth random image; each number gives another study."""
    uids = {"SOPInstanceUID": f"2.25.5{number}", "StudyInstanceUID": f"2.25.6{number}"}
    return dicom_bytes(clouds(*size, seed=number), **(uids | elements))

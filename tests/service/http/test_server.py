"""Shutdown of the real process while an event stream is open."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

TRIAGE = Path(sys.executable).with_name("triage")


def test_an_open_stream_does_not_delay_the_shutdown(artefact: Path, tmp_path: Path, root: Path) -> None:
    """The stream ends as a complete response."""
    environment = {
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(tmp_path / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "PYTHONPATH": str(root),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [TRIAGE, "serve"], env=os.environ | environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[3]
            with httpx.Client(base_url=address, timeout=60) as client, client.stream("GET", "/v1/events") as answer:
                lines = answer.iter_lines()
                assert next(lines) == ": listening"
                process.send_signal(signal.SIGTERM)
                assert [line for line in lines if line] == []  # httpx raises if the response is cut off
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    output = (tmp_path / "log").read_text()
    assert "Application shutdown complete" in output
    assert "exceeded" not in output  # uvicorn's message when a graceful shutdown times out

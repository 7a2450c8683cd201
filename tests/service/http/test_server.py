"""The real process: streams that never end must not hold it up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

TRIAGE = Path(sys.executable).with_name("triage")


def test_an_open_stream_does_not_hold_up_the_end(artefact: Path, tmp_path: Path, root: Path) -> None:
    """And it ends as an answer does, not cut off."""
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
                assert [line for line in lines if line] == []  # to its end; of one cut off, httpx would complain
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    said = (tmp_path / "log").read_text()
    assert "Application shutdown complete" in said
    assert "exceeded" not in said  # as uvicorn says where it waited in vain

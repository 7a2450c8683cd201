"""bench/gpu.sh, rehearsed on the processor, so that it works on the day on which there is a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.gpu_rows import OutOfTime, Rows, read
from bench.gpu_table import text, write
from tests.conftest import ROOT

SCRIPT = ROOT / "bench" / "gpu.sh"
FORMS = ("ONNX Runtime fp32", "ONNX Runtime TF32", "ONNX Runtime fp16", "ONNX Runtime fp16 graph")
TORCH = ("torch eager fp16", "torch compiled fp16")


def gpu(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = {"PYTHON": sys.executable, "GPU_RESULTS": str(folder), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    own["SECONDS_EACH"] = "660"  # no row is begun in the last minute: as long as a test may take
    command = ["bash", str(SCRIPT), *words]
    return subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)


def test_the_rehearsal_measures_every_kind_of_row(tmp_path: Path) -> None:
    answer = gpu(tmp_path, "--rehearse")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    rows = read(tmp_path / "rehearsal.jsonl")
    names = {name.rpartition(": ")[2].removesuffix(", batch 1") for name in rows}
    assert names >= {"machine", "matrix product", "copy", "work", "golden self-test", *FORMS, *TORCH}
    assert names >= {"service end to end", "bare loop of the same parts", "training, squeezenet1_1, 32 px, bfloat16"}
    assert len([row for row in rows.values() if row.get("equal")]) == len(FORMS) + len(TORCH) + 1
    page = text(rows)
    assert all(f"| {name} | " in page for name, row in rows.items() if "images_per_second" in row)
    # What is finished is not measured again, and no figure of a processor is written.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.gpu_rows.time.monotonic", lambda: 0.0)
        again = Rows(tmp_path / "rehearsal.jsonl", end=0)
        for name in rows:
            again.add(name, lambda: pytest.fail("measured again"))
    assert write(tmp_path / "gpu.jsonl", tmp_path / "GPU.md") == 2
    assert not (tmp_path / "GPU.md").exists()


def test_a_row_that_failed_is_measured_again_and_none_is_begun_too_late(tmp_path: Path) -> None:
    path = tmp_path / "gpu.jsonl"
    rows = Rows(path, end=float("inf"))

    def fails() -> dict[str, Any]:
        raise ValueError("no such form\nmore")

    rows.add("one", fails)
    rows.add("two", lambda: {"images_per_second": 3.0, "equal": False})
    assert (read(path)["one"]["failed"], rows.failed) == ("ValueError: no such form", ["one", "two"])
    rows.add("one", lambda: {"images_per_second": 2.0})
    assert read(path)["one"]["images_per_second"] == 2.0
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3
    with pytest.raises(OutOfTime):
        Rows(path, end=0).add("three", lambda: {})


def test_its_usage_is_printed(tmp_path: Path) -> None:
    for words in ((), ("--rehears",)):
        answer = gpu(tmp_path, *words)
        assert (answer.returncode, answer.stdout) == (2, "")
        for option in ("--rehearse", "--wheels", "--write", "--prepare", "--artefact"):
            assert option in answer.stderr

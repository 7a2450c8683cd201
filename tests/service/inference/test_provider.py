import os
from pathlib import Path

import onnxruntime as ort
import pytest

from service.errors import ConfigurationError
from service.inference import provider
from service.inference.provider import choose, processors

AFFINITY = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 10**6),
        ({"cpu.max": "rubbish"}, 10**6),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 10**6),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "0\n"}, 10**6),
        ({}, 10**6),
    ],
)
def test_processors_are_the_quota_or_the_affinity(tmp_path: Path, files: dict[str, str], quota: int) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert processors(tmp_path) == min(quota, AFFINITY)


def test_cpu_can_be_configured() -> None:
    assert choose("cpu") == ("cpu", "as configured")


def available(monkeypatch: pytest.MonkeyPatch, names: list[str], gpus: int) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: names)
    monkeypatch.setattr(provider, "_gpu_count", lambda: gpus)


CUDA = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("names", "gpus", "reason"),
    [(CUDA[1:], 1, "this ONNX Runtime is built without CUDA"), (CUDA, 0, "no NVIDIA GPU is available")],
)
def test_without_a_gpu_auto_uses_the_cpu_and_cuda_is_an_error(
    monkeypatch: pytest.MonkeyPatch, names: list[str], gpus: int, reason: str
) -> None:
    available(monkeypatch, names, gpus)
    assert choose("auto")[0] == "cpu"
    assert choose("auto")[1].startswith(reason)
    with pytest.raises(ConfigurationError, match=f"provider cuda: {reason}") as caught:
        choose("cuda")
    assert caught.value.code == "provider_unavailable"


def test_with_a_gpu_auto_and_cuda_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    available(monkeypatch, CUDA, 1)
    assert choose("auto") == ("cuda", "a GPU is available")
    assert choose("cuda") == ("cuda", "as configured")


def test_gpus_can_be_counted_without_one() -> None:
    assert provider._gpu_count() >= 0

"""The provider that ONNX Runtime computes on, and the number of processors it may use."""

import contextlib
import ctypes
import math
import os
from pathlib import Path
from typing import Literal

import onnxruntime as ort

from service.errors import ConfigurationError

Provider = Literal["cuda", "cpu"]

CUDA_OPTIONS = {
    "use_tf32": "0",  # with TF32's 10-bit mantissa boxes would move
    "cudnn_conv_algo_search": "HEURISTIC",  # exhaustive search takes seconds for each new batch size
    "arena_extend_strategy": "kSameAsRequested",  # there are only a few batch sizes
}


def choose(setting: Literal["auto", "cuda", "cpu"]) -> tuple[Provider, str]:
    """Choose the provider, and return it with the reason, for people.

    Raises
    ------
    ConfigurationError
        Code `provider_unavailable`: the setting is `cuda`, and CUDA is not available.
    """
    if setting == "cpu":
        return "cpu", "as configured"
    obstacle = _cuda_obstacle()
    if obstacle is None:
        return "cuda", "as configured" if setting == "cuda" else "a GPU is available"
    if setting == "cuda":
        raise ConfigurationError(f"provider cuda: {obstacle}", "provider_unavailable")
    return "cpu", obstacle


def processors(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processors this process may use: its affinity, or the container's quota, rounded up, if less."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota(root))))


def _quota(root: Path) -> float:
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (root / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        folder = root / "cpu"
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return math.inf if int(quota) < 0 else int(quota) / int(period)
    return math.inf


def _cuda_obstacle() -> str | None:
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this ONNX Runtime is built without CUDA; the extra `gpu` installs one with CUDA"
    return None if _gpu_count() else "no NVIDIA GPU is available"


def _gpu_count() -> int:
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else count.value

"""The provider: what there is to compute on, and how much of it."""

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
    "use_tf32": "0",  # ten bits of mantissa would move boxes
    "cudnn_conv_algo_search": "HEURISTIC",  # the exhaustive search takes seconds at every new batch size
    "arena_extend_strategy": "kSameAsRequested",  # batches come in a few sizes only
}


def choose(wanted: Literal["auto", "cuda", "cpu"]) -> tuple[Provider, str]:
    """Decide what to compute on, and say why.

    Raises
    ------
    ConfigurationError
        Code `provider_unavailable`: CUDA was asked for and cannot be had.
    """
    if wanted == "cpu":
        return "cpu", "asked for"
    lacking = _lacking()
    if lacking is None:
        return "cuda", "asked for" if wanted == "cuda" else "there is a GPU"
    if wanted == "cuda":
        raise ConfigurationError(f"provider cuda: {lacking}", "provider_unavailable")
    return "cpu", lacking


def processors(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Count the processors this process may use: its affinity or the container's quota, rounded up, if that is less."""
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


def _lacking() -> str | None:
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this ONNX Runtime is built without CUDA (the extra `gpu` brings one that has it)"
    return None if _gpus() else "no NVIDIA GPU answers"


def _gpus() -> int:
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else count.value

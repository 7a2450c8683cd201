import os
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import distributed

from training.errors import TrainingError
from training.fit import devices
from training.fit.config import TrainConfig
from training.fit.devices import (
    Hardware,
    create_fabric,
    create_fabric_for,
    describe_devices,
    device_lines,
    end_connection,
    find_hardware,
    make_deterministic,
    with_precision,
)

SLOW, FAST = Hardware("cpu", "old", False), Hardware("cuda", "new", True)
AUTO = TrainConfig(threads=3, devices=2)


@pytest.mark.parametrize(
    ("features", "expected"),
    [({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"amx_bf16": False}, False)],
)
def test_a_processor_has_bfloat16_if_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(features))
    assert find_hardware("cpu") == Hardware("cpu", "processor", expected)


@pytest.mark.parametrize(("accelerator", "expected"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_a_gpu_is_used_unless_the_processor_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, accelerator: devices.Accelerator, expected: str
) -> None:
    for name, value in (("is_available", True), ("get_device_name", "H100"), ("is_bf16_supported", True)):
        monkeypatch.setattr(torch.cuda, name, lambda value=value, **_: value)
    assert find_hardware(accelerator).accelerator == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_needs_a_gpu_is_refused_without_one(small: TrainConfig) -> None:
    with pytest.raises(TrainingError, match="16-mixed requires a GPU"):
        create_fabric_for(replace(small, precision="16-mixed"))
    with pytest.raises(TrainingError, match="accelerator: expected a GPU that torch can use, got none"):
        create_fabric_for(replace(small, accelerator="cuda"))


def test_more_devices_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(**_: object) -> None:
        raise MisconfigurationException("You requested gpu: [0, 1]\n But your machine only has: [0]")

    monkeypatch.setattr(devices, "Fabric", few)
    with pytest.raises(TrainingError, match=r"^devices: You requested gpu: \[0, 1\]$"):
        create_fabric(2)


def test_the_precision_is_chosen_by_the_device_once() -> None:
    assert with_precision(AUTO, SLOW, None).precision == "32-true"
    assert with_precision(AUTO, FAST, None).precision == "bf16-mixed"
    assert with_precision(AUTO, SLOW, "bf16-mixed").precision == "bf16-mixed"
    assert with_precision(replace(AUTO, precision="bf16-mixed"), SLOW, "32-true").precision == "bf16-mixed"


def test_a_run_says_what_it_computes_on() -> None:
    chosen = with_precision(AUTO, SLOW, None)
    assert device_lines(chosen, SLOW) == ["cpu (old), processes 2, threads 3, precision 32-true"]
    entry = describe_devices(chosen, SLOW)
    assert (entry["accelerator"], entry["threads"], entry["torch"]) == ("cpu", 3, torch.__version__)
    mixed = replace(AUTO, precision="bf16-mixed")
    assert "warning: old has no instructions for bfloat16" in device_lines(mixed, SLOW)[1]
    assert len(device_lines(mixed, FAST)) == 1


def test_deterministic_kernels_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    try:
        make_deterministic()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (False, True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")


def test_the_connection_of_several_processes_is_closed_after_all_have_arrived(tmp_path: Path) -> None:
    states = []
    fabric: Any = SimpleNamespace(barrier=lambda: states.append(distributed.is_initialized()))
    end_connection(fabric)  # one process has none
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    end_connection(fabric)
    assert states == [False, True]
    assert not distributed.is_initialized()

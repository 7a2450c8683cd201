"""The devices of a run: where it computes, in which precision, and how reproducibly."""

import os
from dataclasses import asdict, dataclass, replace

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import distributed

from training.errors import TrainingError
from training.fit.config import Accelerator, Precision, TrainConfig

BFLOAT16 = ("avx512_bf16", "amx_bf16")  # instructions without which bfloat16 takes 5 to 15 times as long as float32
WORKSPACE = ":4096:8"  # with a workspace of fixed size cuBLAS chooses the same kernel every time (its documentation)


@dataclass(frozen=True)
class Hardware:
    """What a run computes on.

    Attributes
    ----------
    accelerator
        `cpu` or `cuda`, which is also the name of AMD's GPUs in torch.
    name
        Name of the processor or GPU.
    has_bfloat16
        Whether it has instructions for bfloat16.
    """

    accelerator: str
    name: str
    has_bfloat16: bool


def find_hardware(accelerator: Accelerator) -> Hardware:
    """Return the processor, or the GPU if there is one; Apple's GPUs are not used, as they lack float64.

    Raises
    ------
    TrainingError
        `cuda` is asked for, and there is no GPU.
    """
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise TrainingError("accelerator: expected a GPU that torch can use, got none")
    if accelerator != "cpu" and torch.cuda.is_available():
        return Hardware("cuda", torch.cuda.get_device_name(), torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities()
    has_bfloat16 = any(features.get(feature, False) for feature in BFLOAT16)
    return Hardware("cpu", str(features.get("cpu_name", "processor")), has_bfloat16)


def with_precision(config: TrainConfig, hardware: Hardware, before: Precision | None) -> TrainConfig:
    """Return the configuration with a precision in the place of `auto`.

    Parameters
    ----------
    before
        Precision with which the run was begun; None for a new run. A run is resumed with it, on any machine.
    """
    if config.precision != "auto":
        return config
    chosen: Precision = "bf16-mixed" if hardware.has_bfloat16 else "32-true"
    return replace(config, precision=before or chosen)


def create_fabric_for(config: TrainConfig) -> Fabric:
    """Create the Fabric of a run: one process for each device of each machine, not started yet.

    Raises
    ------
    TrainingError
        There are not enough devices, or they do not support the precision.
    """
    hardware = find_hardware(config.accelerator)
    if config.precision == "16-mixed" and hardware.accelerator == "cpu":
        raise TrainingError("precision: 16-mixed requires a GPU; without one, use auto, bf16-mixed or 32-true")
    return create_fabric(config.devices, config.num_nodes, config.precision, config.accelerator)


def create_fabric(
    count: int, num_nodes: int = 1, precision: Precision = "32-true", accelerator: Accelerator = "auto"
) -> Fabric:
    """Create a Fabric on the hardware that `find_hardware` returns.

    Raises
    ------
    TrainingError
        There are not enough devices.
    """
    kind = find_hardware(accelerator).accelerator
    chosen = "32-true" if precision == "auto" else precision
    try:
        return Fabric(accelerator=kind, devices=count, num_nodes=num_nodes, precision=chosen)
    except MisconfigurationException as error:
        raise TrainingError(f"devices: {error}".partition("\n")[0]) from error


def end_connection(fabric: Fabric) -> None:
    """Wait for all processes of a Fabric, then close the connection between them.

    A process that exits with an open connection can abort in its destructor, and Fabric then kills the others.
    """
    fabric.barrier()
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def describe_devices(config: TrainConfig, hardware: Hardware) -> dict[str, object]:
    """Return the entry `devices` of a run's document: hardware, processes, threads, precision, version of torch."""
    return {
        **asdict(hardware),
        "processes": config.devices * config.num_nodes,
        "threads": config.threads or torch.get_num_threads(),
        "precision": config.precision,
        "torch": torch.__version__,
    }


def device_lines(config: TrainConfig, hardware: Hardware) -> list[str]:
    """Return the lines to print before training: the devices, and a warning if the precision is slow on them."""
    entry = describe_devices(config, hardware)
    line = "{accelerator} ({name}), processes {processes}, threads {threads}, precision {precision}".format(**entry)
    if config.precision != "bf16-mixed" or hardware.has_bfloat16:
        return [line]
    lacks = f"{hardware.name} has no instructions for bfloat16, so bf16-mixed takes several times as long as 32-true"
    return [line, f"warning: {lacks}; --precision auto chooses"]


def make_deterministic() -> None:
    """Let torch use deterministic kernels wherever it has them, and warn of operations for which it has none.

    To be called before the first operation on a GPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)

"""Script of test_processes.py, also started by Fabric's launcher: trains and writes the weights of each process."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from model.agcnn import Agcnn
from tests.training.conftest import picture
from training.data.cache import Canvases
from training.data.sample import Case
from training.data.transforms import Augmentation
from training.fit.checkpoint import save_weights
from training.fit.config import TrainConfig
from training.fit.devices import create_fabric_for
from training.fit.loop import Data, fit

ONE = TrainConfig(
    canvas_size=64,
    input_size=32,
    epochs=(2, 2, 1),
    learning_rates=(0.01, 0.01, 0.01),
    batch_sizes=(8, 8, 8),
    optimiser="sgd",
    balance=False,
    select="best",
    augmentation=Augmentation(0, 0, 0, 0, 0, 0, 0),
    precision="32-true",
    workers=0,
    threads=1,
)
TWO = replace(ONE, devices=2, batch_sizes=(4, 4, 4))


def images() -> Canvases:
    """Twenty images with some unknown findings each; every fourth has no known finding."""
    draw = np.random.default_rng(0)
    targets = np.where(draw.random((20, 14)) < 0.3, np.nan, draw.integers(0, 2, (20, 14)))
    targets[::4] = np.nan
    cases = tuple(Case(f"{number}.png", str(number), tuple(row)) for number, row in enumerate(targets.tolist()))
    return Canvases("tiny", np.stack([picture(number) for number in range(20)]), np.arange(20), cases)


def trained(config: TrainConfig, out: Path) -> Agcnn:
    """The final network of one of the processes, which share the run folder."""
    fabric = create_fabric_for(config)
    fabric.launch()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Agcnn(config.network)
    out.mkdir(exist_ok=True)
    fit(fabric, network, Data(images(), images()), config, out)
    save_weights(out.parent / f"process{fabric.global_rank}.safetensors", network)
    return network


if __name__ == "__main__":
    trained(TWO, Path(sys.argv[1]))

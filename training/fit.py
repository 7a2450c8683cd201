"""The training loop: one, over the stages, in plain sight.

Whatever is random derives from (seed, stage, epoch, place in the epoch), so a run that was interrupted and goes on at
its last epoch ends with the same tensors.
"""

from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.progress import Progress
from torch.optim import AdamW

from model.agcnn import Agcnn
from training import checkpoint
from training.cache import Canvases
from training.config import STAGES, TrainConfig
from training.metrics import aurocs, macro
from training.order import Indices, epoch_order
from training.sample import Floats
from training.stages import Stage, StageView, masked_loss, stages
from training.transforms import augment, draws

LAST = "last.ckpt"
WARM_UP = 0.1  # share of a stage's steps


@dataclass(frozen=True)
class Data:
    """What a run learns from, and what it is scored on after every epoch; None for nothing."""

    train: Canvases
    held_out: Canvases | None


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; `auroc` is the macro average on the images held out, None without any."""

    stage: str
    epoch: int
    loss: float
    auroc: float | None
    images_per_second: float


def launched(config: TrainConfig) -> Fabric:
    """The devices of a run; with several, every process goes on from here."""
    fabric = Fabric(accelerator="auto", devices=config.devices, precision=config.precision)
    fabric.launch()
    return fabric


def fit(fabric: Fabric, network: Agcnn, data: Data, config: TrainConfig, run: Path) -> list[Epoch]:
    """Train the stages one after the other, in place; go on from the run folder's last epoch if it has one."""
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with Progress(transient=True, disable=fabric.global_rank > 0) as progress:
        loop = Loop(fabric, config, run, progress)
        for stage in stages(config):
            loop.train(network, stage, data)
    return loop.history


class Loop:
    """What lives as long as a run: devices, folder, progress bar, history."""

    def __init__(self, fabric: Fabric, config: TrainConfig, run: Path, progress: Progress) -> None:
        self.fabric, self.config, self.run, self.progress = fabric, config, run, progress
        self.saved: dict[str, Any] | None = checkpoint.load_state(run / LAST)
        self.history = [Epoch(**record) for record in self.saved["history"]] if self.saved else []

    def train(self, network: Agcnn, stage: Stage, data: Data) -> None:
        """Train one stage and leave the network with that stage's selected weights."""
        train = data.train.reduced(stage.canvas_size)
        held_out = data.held_out and data.held_out.reduced(stage.canvas_size)
        stage.start(network)
        view, optimiser = self.set_up(network, stage)
        for epoch in range(self.begin(stage, network, optimiser), stage.epochs):
            started = perf_counter()
            loss = self.epoch(view, optimiser, train, epoch)
            speed = len(train) / (perf_counter() - started)
            score = None if held_out is None else macro_auroc(view, held_out)
            self.history.append(Epoch(stage.name, epoch, loss, score, round(speed, 1)))
            self.keep(network, optimiser)
            if self.fabric.is_global_zero:
                self.progress.console.print(line(self.history[-1]))
        checkpoint.load_weights(self.run / f"{stage.name}.safetensors", network)

    def set_up(self, network: Agcnn, stage: Stage) -> tuple[Any, Any]:
        """Freeze what the stage freezes, and give the rest to an optimiser."""
        view = StageView(network, stage)
        optimiser = AdamW(view.trained(), lr=stage.learning_rate, weight_decay=self.config.weight_decay)
        prepared: tuple[Any, Any] = self.fabric.setup(view, optimiser)
        return prepared

    def begin(self, stage: Stage, network: Agcnn, optimiser: Any) -> int:
        """The first epoch to train; network and optimiser as they were before it."""
        done = [record for record in self.history if record.stage == stage.name]
        if self.saved and done and self.history[-1].stage == stage.name:
            network.load_state_dict(self.saved["network"])
            optimiser.load_state_dict(self.saved["optimiser"])
        return len(done)

    def epoch(self, view: Any, optimiser: Any, train: Canvases, epoch: int) -> float:
        """One pass over the training images; returns the mean loss."""
        stage: Stage = view.stage
        seed = (self.config.seed, STAGES.index(stage.name), epoch)
        batches = self.batches(epoch_order(train, seed, self.config.balance))
        task = self.progress.add_task(f"{stage.name} {epoch + 1}/{stage.epochs}", total=len(batches))
        losses = []
        view.train()
        for step, (places, indices) in enumerate(batches):
            rate = schedule(epoch * len(batches) + step, stage.epochs * len(batches))
            for group in optimiser.param_groups:
                group["lr"] = rate * stage.learning_rate
            canvas, target = (tensor.to(self.fabric.device) for tensor in train.batch(indices))
            drawn = draws(seed, places).to(canvas.device)
            loss = masked_loss(view(augment(canvas, drawn, self.config.augmentation)), target)
            self.fabric.backward(loss)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
            self.progress.advance(task)
        self.progress.remove_task(task)
        return float(np.mean(losses))

    def batches(self, order: Indices) -> list[tuple[Indices, Indices]]:
        """(places in the epoch, indices) of each step of this process; every process has the same number of steps."""
        places = np.arange(len(order))[self.fabric.global_rank :: self.fabric.world_size]
        places = places[: len(order) // self.fabric.world_size]
        cuts = range(self.config.batch_size, len(places), self.config.batch_size)
        return [(chunk, order[chunk]) for chunk in np.split(places, cuts)]

    def keep(self, network: Agcnn, optimiser: Any) -> None:
        """Write the selected weights of the stage, then what a resumed run needs."""
        if self.fabric.global_rank == 0:
            record = self.history[-1]
            if self.config.select == "last" or record is best(self.history, record.stage):
                checkpoint.save_weights(self.run / f"{record.stage}.safetensors", network)
            history = [vars(epoch) for epoch in self.history]
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "history": history}
            checkpoint.save_state(self.run / LAST, state)
        self.fabric.barrier()


def best(history: list[Epoch], stage: str) -> Epoch:
    """The first epoch of highest AUROC; the last one where there is none."""
    records = [record for record in history if record.stage == stage]
    scored = [record for record in records if record.auroc is not None]
    return max(scored, key=lambda record: record.auroc or 0) if scored else records[-1]


def line(record: Epoch) -> str:
    """One epoch in words."""
    score = "" if record.auroc is None else f"  AUROC {record.auroc:.3f}"
    speed = f"{record.images_per_second:.0f} images/s"
    return f"{record.stage} {record.epoch + 1}  loss {record.loss:.4f}{score}  {speed}"


def schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: a linear warm-up, then half a cosine to 0."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return (1 + cos(pi * (step - warm) / max(1, steps - warm))) / 2


@torch.no_grad()
def macro_auroc(view: Any, canvases: Canvases) -> float | None:
    """Macro AUROC of the stage's logits; None where no label is defined."""
    scores: list[Floats] = []
    view.eval()
    for chunk in np.split(np.arange(len(canvases)), range(32, len(canvases), 32)):
        canvas = canvases.batch(chunk)[0].to(view.device)
        scores.append(view(canvas).float().cpu().numpy())
    value = float(macro(aurocs(np.concatenate(scores), canvases.targets)[0]))
    return None if np.isnan(value) else value

"""Optimiser and learning rate schedule of a stage."""

from collections.abc import Iterable
from math import cos, pi

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from training.fit.config import TrainConfig

WARM_UP = 0.1  # share of a stage's steps
STEP = 0.1  # the paper divides by 10


def optimiser(parameters: Iterable[nn.Parameter], config: TrainConfig) -> Optimizer:
    """Create the optimiser; its learning rate is set before every step (see `rate`)."""
    if config.optimiser == "sgd":
        return SGD(parameters, lr=0.0, momentum=config.momentum, weight_decay=config.weight_decay)
    return AdamW(parameters, lr=0.0, weight_decay=config.weight_decay)


def rate(config: TrainConfig, step: int, steps: int, epoch: int) -> float:
    """Return the learning rate at one of a stage's steps, as a share of its peak."""
    if config.schedule == "step":
        return 1.0 if epoch < config.step_epochs else STEP
    return cosine(step, steps)


def cosine(step: int, steps: int) -> float:
    """Return the share of a linear warm-up to 1, followed by half a cosine to 0."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return (1 + cos(pi * (step - warm) / max(1, steps - warm))) / 2

"""The three stages of the paper's training (G_L_F): global branch, local branch, fusion layer; the rest frozen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from model.agcnn import Agcnn, freeze
from training.data.sample import Floats
from training.fit.config import TrainConfig


@dataclass(frozen=True)
class Stage:
    """What one stage trains, on which logits, for how long.

    Attributes
    ----------
    trains
        Name of the one part of `Agcnn` whose weights change.
    frozen
        Parts that stay as they are: evaluation mode, no gradient.
    logits
        Network and canvas [B, 1, S, S] to the logits [B, K] that the loss is taken of.
    start
        What the part's weights begin as, given the parts before it.
    canvas_size
        Side of the canvases this stage needs.
    """

    name: str
    trains: str
    frozen: tuple[str, ...]
    logits: Callable[[Agcnn, Tensor], Tensor]
    start: Callable[[Agcnn], None]
    epochs: int
    learning_rate: float
    batch_size: int
    canvas_size: int


class StageView(nn.Module):
    """A network as one stage trains it: canvas in, that stage's logits out."""

    def __init__(self, network: Agcnn, stage: Stage) -> None:
        super().__init__()
        network.requires_grad_(False)
        network.get_submodule(stage.trains).requires_grad_(True)
        for name in stage.frozen:
            freeze(network.get_submodule(name))
        self.network = network
        self.stage = stage

    def forward(self, canvas: Tensor) -> Tensor:
        """[B, 1, S, S] to [B, K]."""
        return self.stage.logits(self.network, canvas)

    def trained(self) -> list[nn.Parameter]:
        """Parameters of the part this stage trains."""
        return list(self.network.get_submodule(self.stage.trains).parameters())


def stages(config: TrainConfig) -> tuple[Stage, ...]:
    """The stages a configuration asks for, in the paper's order."""
    anew = config.second_look == "global"
    parts = {
        "global": ("global_branch", (), global_logits, keep),
        "local": ("local_branch", ("global_branch",), local_logits, copy_global if anew else keep),
        "fusion": ("fusion", ("global_branch", "local_branch"), fusion_logits, global_alone if anew else keep),
    }
    sizes = {"global": shrunk_size(config.canvas_size, config.input_size)}
    return tuple(
        Stage(name, *parts[name], epochs, rate, batch, sizes.get(name, config.canvas_size))
        for name, epochs, rate, batch in zip(
            parts, config.epochs, config.learning_rates, config.batch_sizes, strict=True
        )
        if name in config.stages
    )


def shrunk_size(canvas_size: int, input_size: int) -> int:
    """Side that is enough for the global branch, which sees the canvas shrunk, to be moved about: twice its input.

    Or the next multiple that divides the canvas, so that shrinking in two steps is shrinking in one.
    """
    times = canvas_size // input_size
    return input_size * next((factor for factor in range(2, times) if times % factor == 0), times)


def global_logits(network: Agcnn, canvas: Tensor) -> Tensor:
    """Of the whole canvas, of any size that is a multiple of the input's."""
    factor = canvas.shape[-1] // network.config.input_size
    logits: Tensor = network.global_branch(nn.functional.avg_pool2d(canvas, factor)).logits
    return logits


def local_logits(network: Agcnn, canvas: Tensor) -> Tensor:
    """Of the attended crop."""
    with torch.no_grad():
        attention = network.attend(canvas)
    logits: Tensor = network.local_branch(attention.crop).logits
    return logits


def fusion_logits(network: Agcnn, canvas: Tensor) -> Tensor:
    """Of both branches' pooled vectors; both branches are frozen."""
    with torch.no_grad():
        attention = network.attend(canvas)
        near = network.local_branch(attention.crop)
    logits: Tensor = network.fusion(attention.branch.pooled, near.pooled)
    return logits


def keep(network: Agcnn) -> None:
    """Begin from the weights the network came with."""


def copy_global(network: Agcnn) -> None:
    """Begin the local branch from the global one: it has seen radiographs, ImageNet has not."""
    network.local_branch.load_state_dict(network.global_branch.state_dict())


@torch.no_grad()
def global_alone(network: Agcnn) -> None:
    """Begin the fusion layer as the global branch's own decision: what the second look adds is yet to be learnt."""
    own, fused = network.global_branch.classifier, network.fusion.classifier
    fused.weight.copy_(torch.cat([own.weight, torch.zeros_like(own.weight)], 1))
    fused.bias.copy_(own.bias)


@torch.no_grad()
def start_at_prevalence(network: Agcnn, targets: Floats) -> None:
    """Set the global classifier's bias to the log odds of each finding, half a case added to both sides."""
    positive, negative = np.nansum(targets, 0) + 0.5, np.nansum(1 - targets, 0) + 0.5
    network.global_branch.classifier.bias.copy_(torch.from_numpy(np.log(positive / negative)))

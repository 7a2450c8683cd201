"""The three stages of the paper's training (G_L_F): global branch, local branch, fusion layer; the rest frozen."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from model.agcnn import Agcnn, freeze
from training.data.sample import Floats
from training.fit.config import TrainConfig

PARTS = {"global": "global_branch", "local": "local_branch", "fusion": "fusion"}  # stage to the part that it trains


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes
    ----------
    trains
        Name of the part of `Agcnn` whose weights are trained.
    frozen
        Names of the parts that are frozen: evaluation mode, no gradient.
    logits
        Function from network and canvas `[B, 1, S, S]` to the logits `[B, K]` of the loss.
    start
        Function that initialises the trained part from the parts before it.
    canvas_size
        Side of the canvases that this stage needs, in pixels.
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
    """A network as one stage trains it: from the canvas to the logits of the stage."""

    def __init__(self, network: Agcnn, stage: Stage) -> None:
        super().__init__()
        network.requires_grad_(False)
        network.get_submodule(stage.trains).requires_grad_(True)
        for name in stage.frozen:
            freeze(network.get_submodule(name))
        self.network = network
        self.stage = stage

    def forward(self, inputs: Tensor) -> Tensor:
        """Map canvases `[B, 1, S, S] float32 in [0, 1]`, or what `stage.logits` takes for them, to logits `[B, K]`."""
        return self.stage.logits(self.network, inputs)

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters of the part that this stage trains."""
        return list(self.network.get_submodule(self.stage.trains).parameters())


def stages(config: TrainConfig) -> tuple[Stage, ...]:
    """Return the stages of a configuration in the paper's order."""
    from_global = config.second_look == "global"
    local_start = copy_global if from_global else keep_weights
    fusion_start = start_from_global if from_global else keep_weights
    parts = {
        "global": ((), global_logits, keep_weights),
        "local": (("global_branch",), local_logits, local_start),
        "fusion": (("global_branch", "local_branch"), fusion_logits, fusion_start),
    }
    sizes = {"global": shrunk_size(config.canvas_size, config.input_size)}
    return tuple(
        Stage(name, PARTS[name], *parts[name], epochs, rate, batch, sizes.get(name, config.canvas_size))
        for name, epochs, rate, batch in zip(
            parts, config.epochs, config.learning_rates, config.batch_sizes, strict=True
        )
        if name in config.stages
    )


def shrunk_size(canvas_size: int, input_size: int) -> int:
    """Return the side of the canvases for the global branch: twice its input leaves enough detail for augmentation.

    If that does not divide the canvas, it is the next multiple that does, so that shrinking in two steps equals
    shrinking in one.
    """
    times = canvas_size // input_size
    return input_size * next((factor for factor in range(2, times) if times % factor == 0), times)


def global_logits(network: Agcnn, canvas: Tensor) -> Tensor:
    """Return the global branch's logits `[B, K]` of canvases `[B, 1, S, S]`; S is any multiple of the input size."""
    factor = canvas.shape[-1] // network.config.input_size
    logits: Tensor = network.global_branch(nn.functional.avg_pool2d(canvas, factor)).logits
    return logits


def local_logits(network: Agcnn, canvas: Tensor) -> Tensor:
    """Return the local branch's logits `[B, K]` of the crops from canvases `[B, 1, S, S]`."""
    with torch.no_grad():
        attention = network.attend(canvas)
    logits: Tensor = network.local_branch(attention.crop).logits
    return logits


def fusion_logits(network: Agcnn, inputs: Tensor) -> Tensor:
    """Return the fusion layer's logits `[B, K]` of canvases `[B, 1, S, S]`, or of their pooled vectors `[B, 2C]`."""
    pooled = inputs if inputs.ndim == 2 else pooled_vectors(network, inputs)
    logits: Tensor = network.fusion.classifier(pooled)
    return logits


@torch.no_grad()
def pooled_vectors(network: Agcnn, canvas: Tensor) -> Tensor:
    """Return the pooled vectors of both branches, `[B, 2C]`, of canvases `[B, 1, S, S]`."""
    attention = network.attend(canvas)
    return torch.cat([attention.branch.pooled, network.local_branch(attention.crop).pooled], 1)


def keep_weights(network: Agcnn) -> None:
    """Keep the weights of the network."""


def copy_global(network: Agcnn) -> None:
    """Initialise the local branch with the global branch, which was trained on radiographs."""
    network.local_branch.load_state_dict(network.global_branch.state_dict())


@torch.no_grad()
def start_from_global(network: Agcnn) -> None:
    """Initialise the fusion layer with the global branch's classifier; the local branch starts with zero weights."""
    classifier, fusion = network.global_branch.classifier, network.fusion.classifier
    fusion.weight.copy_(torch.cat([classifier.weight, torch.zeros_like(classifier.weight)], 1))
    fusion.bias.copy_(classifier.bias)


def fill_untrained(network: Agcnn, untrained: Collection[str]) -> None:
    """Give the parts that no stage trains the global branch's weights, so that none is random.

    The local branch becomes a copy of the global one, and the fusion layer decides as the global branch does.

    Parameters
    ----------
    untrained
        Names of stages that neither the run nor its starting weights include.
    """
    if "local" in untrained:
        copy_global(network)
    if "fusion" in untrained:
        start_from_global(network)


@torch.no_grad()
def start_at_prevalence(network: Agcnn, targets: Floats) -> None:
    """Set the global classifier's bias to the log odds of targets `[N, K]`, with half a case added to both."""
    positive, negative = np.nansum(targets, 0) + 0.5, np.nansum(1 - targets, 0) + 0.5
    network.global_branch.classifier.bias.copy_(torch.from_numpy(np.log(positive / negative)))

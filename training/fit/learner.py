"""The part of a network that a stage trains, with its optimiser, weight average and selected weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from model.agcnn import Agcnn
from training.evaluation.inference import all_reduce
from training.fit.config import TrainConfig
from training.fit.optimiser import optimiser
from training.fit.stages import Stage, StageView

State = dict[str, Any]


class Learner:
    """The trained part of one stage: its view on the devices, optimiser, weight average and selected weights."""

    def __init__(self, fabric: Fabric, network: Agcnn, stage: Stage, config: TrainConfig) -> None:
        self.fabric, self.network, self.stage, self.decay = fabric, network, stage, config.average
        self.part = network.get_submodule(stage.trains)
        view = StageView(network, stage)
        self.view, self.optimiser = fabric.setup(view, optimiser(view.trained(), config))
        self.average = [tensor.clone() for tensor in self.weights()] if self.decay else []
        self.selected: dict[str, Tensor] = {}

    def weights(self) -> list[Tensor]:
        """Return the part's parameters and batch norm statistics, each `[...]`; they may be changed in place."""
        return [tensor for tensor in self.part.state_dict().values() if tensor.is_floating_point()]

    def step(self, loss: Tensor, rate: float, number: int) -> None:
        """Take one optimiser step for a batch's loss `[]`; `number` counts the stage's steps from 0."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.fabric.backward(loss)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.decay:
            # A smaller decay at first, or the initial weights would dominate the average of a short stage.
            decay = min(self.decay, (1 + number) / (10 + number))
            for mean, now in zip(self.average, self.weights(), strict=True):
                mean.lerp_(now, 1 - decay)

    def synchronise_statistics(self) -> None:
        """Set the batch norm statistics of all processes to their mean; the weights are equal already."""
        for buffer in self.part.buffers():
            if buffer.is_floating_point():
                buffer.copy_(all_reduce(self.fabric, buffer.clone(), "mean"))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Use the averaged weights within the context, if there is an average."""
        if not self.decay:
            yield
            return
        trained = [tensor.clone() for tensor in self.weights()]
        self.set_weights(self.average)
        try:
            yield
        finally:
            self.set_weights(trained)

    def set_weights(self, values: list[Tensor]) -> None:
        """Copy values of the shapes `[...]` of `weights()` into the part."""
        for tensor, value in zip(self.weights(), values, strict=True):
            tensor.copy_(value)

    def select(self) -> None:
        """Select the current weights as the result of the stage."""
        self.selected = {name: tensor.clone() for name, tensor in self.part.state_dict().items()}

    def finish(self) -> None:
        """Load the selected weights into the network."""
        self.part.load_state_dict(self.selected)

    def state(self) -> State:
        """Return all that a resumed run needs from this stage and the stages before it."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "selected": self.selected,
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, state: State) -> None:
        """Restore a state of `state()`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        for mean, saved in zip(self.average, state["average"], strict=True):
            mean.copy_(saved)
        self.selected = {name: tensor.to(self.fabric.device) for name, tensor in state["selected"].items()}


def unwrapped(view: Any) -> nn.Module:
    """Return a view of Fabric without its wrapper for several processes; scoring distributes the images itself."""
    module: nn.Module = view.module
    return module

"""The part of a network that a stage trains, with all that changes while it learns."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from model.agcnn import Agcnn
from training.evaluation.scoring import reduced
from training.fit.config import TrainConfig
from training.fit.optimiser import optimiser
from training.fit.stages import Stage, StageView

State = dict[str, Any]


class Learner:
    """One stage's part: its view set up on the devices, its optimiser, its average, and the weights selected so far."""

    def __init__(self, fabric: Fabric, network: Agcnn, stage: Stage, config: TrainConfig) -> None:
        self.fabric, self.network, self.stage, self.decay = fabric, network, stage, config.average
        self.part = network.get_submodule(stage.trains)
        view = StageView(network, stage)
        self.view, self.optimiser = fabric.setup(view, optimiser(view.trained(), config))
        self.average = [tensor.clone() for tensor in self.weights()] if self.decay else []
        self.selected: dict[str, Tensor] = {}

    def weights(self) -> list[Tensor]:
        """The part's parameters and its batch norms' statistics, as they are and to be changed in place."""
        return [tensor for tensor in self.part.state_dict().values() if tensor.is_floating_point()]

    def step(self, loss: Tensor, rate: float, number: int) -> None:
        """Follow one batch's loss at a learning rate; `number` counts the stage's steps from 0."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.fabric.backward(loss)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.decay:
            # At first the mean of what there was: a long memory of the beginning would outlast a short stage.
            decay = min(self.decay, (1 + number) / (10 + number))
            for mean, now in zip(self.average, self.weights(), strict=True):
                mean.lerp_(now, 1 - decay)

    def agree(self) -> None:
        """Give all processes one set of batch norm statistics, the mean of theirs; their weights are equal already."""
        for buffer in self.part.buffers():
            if buffer.is_floating_point():
                buffer.copy_(reduced(self.fabric, buffer.clone(), "mean"))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the averaged weights in the network's place, where there are any."""
        if not self.decay:
            yield
            return
        own = [tensor.clone() for tensor in self.weights()]
        self.put(self.average)
        try:
            yield
        finally:
            self.put(own)

    def put(self, values: list[Tensor]) -> None:
        """Set the part's weights."""
        for tensor, value in zip(self.weights(), values, strict=True):
            tensor.copy_(value)

    def select(self) -> None:
        """Remember the part's weights as the stage's."""
        self.selected = {name: tensor.clone() for name, tensor in self.part.state_dict().items()}

    def finish(self) -> None:
        """Leave the network with the selected weights."""
        self.part.load_state_dict(self.selected)

    def state(self) -> State:
        """Everything that a resumed run needs of the stage, and of the stages before it."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "selected": self.selected,
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        for mean, saved in zip(self.average, state["average"], strict=True):
            mean.copy_(saved)
        self.selected = {name: tensor.to(self.fabric.device) for name, tensor in state["selected"].items()}


def unwrapped(view: Any) -> nn.Module:
    """A view set up by Fabric, without what joins the processes: for scoring, which they share out themselves."""
    module: nn.Module = view.module
    return module

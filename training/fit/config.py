"""Everything a training run depends on beside its data."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_args

from model.agcnn import AgcnnConfig, CropFrom
from model.branch import Pooling
from model.heat_map import Statistic
from model.labels import LABELS
from training.data.transforms import Augmentation
from training.errors import TrainingError

Select = Literal["best", "last"]
SecondLook = Literal["global", "init"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Optimiser = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "step"]
STAGES = ("global", "local", "fusion")
CHOICES = {
    "select": Select,
    "second_look": SecondLook,
    "precision": Precision,
    "optimiser": Optimiser,
    "schedule": Schedule,
}


@dataclass(frozen=True)
class TrainConfig:
    """One run; the defaults are the recipe `modern`.

    Attributes
    ----------
    epochs, learning_rates, batch_sizes
        Of the stages global, local, fusion. A batch is that of one process.
    second_look
        What local branch and fusion layer begin as: the `global` branch's copy and decision, or what `init` brought.
    optimiser
        `adamw`, or `sgd` with `momentum`.
    schedule
        `cosine`: a warm-up, then half a cosine; `step`: a tenth of the rate after `step_epochs`.
    no_finding
        Train a last output for a radiograph without findings; no score counts it, and what is served has none.
    positive_weight
        Weigh a label's positives in the loss by how many negatives there are to one positive.
    balance
        Draw every collection of the data equally often.
    distil
        Share of the teachers' word in the targets, in [0, 1]; 0 does without teachers.
    average
        Decay, for each step, of the moving average of weights that is scored and saved; 0 takes the weights themselves.
    select
        `best`: of each stage the epoch of highest macro AUROC on the images held out; `last`: the last one, for fixed
        epochs, which is honest where the images held out are to be scored afterwards.
    precision
        As Lightning Fabric names it.
    devices
        Processes on each of `num_nodes` machines, one to a GPU where there are GPUs.
    workers
        Processes that make the batches of one process ready; 0 for itself.
    threads
        Of the processor; 0 leaves it to torch.
    """

    backbone: str = "squeezenet1_1"
    pooling: Pooling = "average"
    canvas_size: int = 896
    input_size: int = 224
    tau: float = 0.7
    statistic: Statistic = "max"
    crop_from: CropFrom = "canvas"
    stages: tuple[str, ...] = STAGES
    epochs: tuple[int, int, int] = (12, 8, 4)
    learning_rates: tuple[float, float, float] = (3e-4, 3e-4, 1e-3)
    batch_sizes: tuple[int, int, int] = (32, 32, 32)
    second_look: SecondLook = "global"
    optimiser: Optimiser = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-2
    schedule: Schedule = "cosine"
    step_epochs: int = 20
    no_finding: bool = False
    positive_weight: bool = False
    balance: bool = True
    distil: float = 0.0
    average: float = 0.0
    select: Select = "last"
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: Precision = "32-true"
    devices: int = 1
    num_nodes: int = 1
    workers: int = 2
    threads: int = 0
    seed: int = 7

    def __post_init__(self) -> None:
        if unknown := set(self.stages) - set(STAGES):
            raise TrainingError(f"stages: wanted some of {', '.join(STAGES)}, got {sorted(unknown)[0]!r}")
        for name, kind in (("epochs", int), ("learning_rates", (int, float)), ("batch_sizes", int)):
            values = getattr(self, name)
            if len(values) != len(STAGES) or not all(isinstance(value, kind) and value > 0 for value in values):
                raise TrainingError(f"{name}: wanted three positive numbers, for global, local and fusion")
        for name, least in (("devices", 1), ("num_nodes", 1), ("step_epochs", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name}: wanted at least {least}, got {getattr(self, name)}")
        if self.weight_decay < 0 or not 0 <= self.momentum < 1:
            raise TrainingError("weight_decay and momentum: wanted no less than 0, and momentum below 1")
        if not 0 <= self.distil <= 1 or not 0 <= self.average < 1:
            raise TrainingError("distil and average: wanted 0 to 1, and average below 1")
        if self.distil and self.no_finding:
            raise TrainingError("distil: teachers say nothing of no_finding; take one of the two")
        for name, wanted in CHOICES.items():
            if (value := getattr(self, name)) not in get_args(wanted):
                raise TrainingError(f"{name}: wanted one of {', '.join(get_args(wanted))}, got {value!r}")

    @property
    def network(self) -> AgcnnConfig:
        """The network this run trains."""
        shared = {item.name: getattr(self, item.name) for item in fields(AgcnnConfig) if hasattr(self, item.name)}
        try:
            return AgcnnConfig(**shared, findings=len(LABELS) + self.no_finding)
        except ValueError as error:
            raise TrainingError(str(error)) from error


Settings = TypeVar("Settings", TrainConfig, Augmentation)


def configured(start: TrainConfig, changes: dict[str, Any]) -> TrainConfig:
    """A configuration with some fields changed; lists are taken as tuples, a table as fields of the augmentation.

    Raises
    ------
    TrainingError
        An unknown field, or a value that does not fit.
    """
    changes = dict(changes)
    if isinstance(table := changes.get("augmentation"), dict):
        changes["augmentation"] = replaced(start.augmentation, table, "augmentation")
    return replaced(start, changes, "configuration")


def replaced(start: Settings, changes: dict[str, Any], where: str) -> Settings:
    """Change fields by name, if the names are known and the values of the kind that was there."""
    known = {item.name: getattr(start, item.name) for item in fields(start)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    for name, value in values.items():
        if name not in known:
            raise TrainingError(f"{where}: unknown {name!r}, wanted one of {', '.join(known)}")
        wanted = type(known[name])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise TrainingError(f"{where}: {name} must be {wanted.__name__}, got {value!r}")
    return replace(start, **values)

"""The configuration of a training run: all its settings except the data."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_args

from model.agcnn import AgcnnConfig, CropFrom
from model.branch import Pooling
from model.heat_map import Statistic
from model.labels import LABELS, NO_FINDING
from training.data.transforms import Augmentation
from training.errors import TrainingError

Select = Literal["best", "last"]
SecondLook = Literal["global", "init"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Accelerator = Literal["auto", "cpu", "cuda"]
Optimiser = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "step"]
STAGES = ("global", "local", "fusion")
CHOICES = {
    "select": Select,
    "second_look": SecondLook,
    "precision": Precision,
    "accelerator": Accelerator,
    "optimiser": Optimiser,
    "schedule": Schedule,
}


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of one run; the defaults are those of the recipe `modern`.

    Attributes
    ----------
    epochs, learning_rates, batch_sizes
        One value for each of the stages global, local, fusion. A batch is that of one process.
    second_look
        Start of local branch and fusion layer: `global`, a copy of the global branch and its classifier; `init`, the
        weights from --init.
    optimiser
        `adamw`, or `sgd` with `momentum`.
    schedule
        `cosine`: a warm-up, then half a cosine; `step`: a tenth of the rate after `step_epochs`.
    mirror
        Whether the global branch decides by the mean of the canvas and its mirror image, at twice the cost.
    no_finding
        Whether to train an additional output for radiographs without findings; it is neither scored nor served.
    positive_weight
        Whether to weight the positives of a label in the loss by its number of negatives per positive.
    balance
        Whether to draw every collection of the data equally often.
    distil
        Weight of the teachers' probabilities in the targets, in [0, 1]; 0 for training without teachers.
    average
        Decay, per step, of the moving average of weights that is scored and saved; 0 for no average.
    fusion_views
        Number of augmented views of every image that the fusion stage learns from, one after the other; 0 for a new one
        in every epoch. The branches are frozen, so a view is computed once for all its epochs.
    select
        Epoch of each stage whose weights are kept. `best`: that of highest macro AUROC on the held-out images; `last`:
        the last one, which keeps later scores on the held-out images unbiased.
    precision
        Precision, by its name in Lightning Fabric; `auto`: bf16-mixed if the device has instructions for it, else
        32-true.
    accelerator
        `cpu`, `cuda` for GPUs, or `auto` for GPUs if there are any.
    deterministic
        Whether torch shall use deterministic kernels where it has them; on a processor it always does.
    devices
        Number of processes on each of `num_nodes` machines, one per GPU if there are GPUs.
    workers
        Number of processes that prepare the batches of one process; 0 for none.
    threads
        Number of processor threads; 0 for torch's default.
    """

    backbone: str = "squeezenet1_1"
    pooling: Pooling = "average"
    canvas_size: int = 896
    input_size: int = 224
    tau: float = 0.7
    statistic: Statistic = "max"
    crop_from: CropFrom = "canvas"
    mirror: bool = False
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
    fusion_views: int = 0
    select: Select = "last"
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: Precision = "auto"
    accelerator: Accelerator = "auto"
    deterministic: bool = False
    devices: int = 1
    num_nodes: int = 1
    workers: int = 2
    threads: int = 0
    seed: int = 7

    def __post_init__(self) -> None:
        if unknown := set(self.stages) - set(STAGES):
            raise TrainingError(f"stages: expected some of {', '.join(STAGES)}, got {sorted(unknown)[0]!r}")
        for name, kind in (("epochs", int), ("learning_rates", (int, float)), ("batch_sizes", int)):
            values = getattr(self, name)
            if len(values) != len(STAGES) or not all(isinstance(value, kind) and value > 0 for value in values):
                raise TrainingError(f"{name}: expected three positive numbers, for global, local and fusion")
        for name, least in (("devices", 1), ("num_nodes", 1), ("step_epochs", 1), ("workers", 0), ("fusion_views", 0)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if self.weight_decay < 0 or not 0 <= self.momentum < 1:
            raise TrainingError("weight_decay and momentum must be at least 0, and momentum below 1")
        if not 0 <= self.distil <= 1 or not 0 <= self.average < 1:
            raise TrainingError("distil and average must be between 0 and 1, and average below 1")
        if self.distil and self.no_finding:
            raise TrainingError("distil cannot be combined with no_finding: teachers have no such output")
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in get_args(choices):
                raise TrainingError(f"{name}: expected one of {', '.join(get_args(choices))}, got {value!r}")

    @property
    def network(self) -> AgcnnConfig:
        """Configuration of the network for the labels of ChestX-ray14."""
        return self.network_for(LABELS)

    def network_for(self, labels: Sequence[str]) -> AgcnnConfig:
        """Return the configuration of the network for these labels.

        Raises
        ------
        TrainingError
            A value is invalid, or No Finding is a label and to be an additional output too.
        """
        if self.no_finding and NO_FINDING in labels:
            raise TrainingError(f"no_finding: the data have a label {NO_FINDING} of their own")
        # `second_look` is another setting here: the start of the local branch, which every run has.
        names = {item.name for item in fields(AgcnnConfig)} - {"second_look"}
        shared = {name: getattr(self, name) for name in names if hasattr(self, name)}
        try:
            return AgcnnConfig(**shared, findings=len(labels) + self.no_finding)
        except ValueError as error:
            raise TrainingError(str(error)) from error


Settings = TypeVar("Settings", TrainConfig, Augmentation)


def with_changes(start: TrainConfig, changes: dict[str, Any]) -> TrainConfig:
    """Return a configuration with some fields changed; lists become tuples, a table changes the augmentation's fields.

    Raises
    ------
    TrainingError
        A field is unknown, or a value has the wrong type.
    """
    changes = dict(changes)
    if isinstance(table := changes.get("augmentation"), dict):
        changes["augmentation"] = replace_fields(start.augmentation, table, "augmentation")
    return replace_fields(start, changes, "configuration")


def replace_fields(start: Settings, changes: dict[str, Any], where: str) -> Settings:
    """Replace fields by name, if the names are known and the values have the types of the old ones."""
    known = {item.name: getattr(start, item.name) for item in fields(start)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    for name, value in values.items():
        if name not in known:
            raise TrainingError(f"{where}: unknown {name!r}, expected one of {', '.join(known)}")
        kind = type(known[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise TrainingError(f"{where}: {name} must be {kind.__name__}, got {value!r}")
    return replace(start, **values)

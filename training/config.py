"""Everything a training run depends on beside its data."""

import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from model.agcnn import AgcnnConfig
from model.branch import Pooling
from training.errors import TrainingError
from training.transforms import Augmentation

Select = Literal["best", "last"]
SecondLook = Literal["global", "init"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
STAGES = ("global", "local", "fusion")


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes
    ----------
    epochs, learning_rates
        Of the stages global, local, fusion.
    second_look
        What local branch and fusion layer begin as: copies and mean of the `global` branch, or what `init` brought.
    balance
        Draw every collection of the data equally often.
    select
        `best`: of each stage the epoch of highest macro AUROC on the images held out; `last`: the last one, for fixed
        epochs, which is honest where the images held out are to be scored afterwards.
    precision
        As Lightning Fabric names it.
    threads
        Of the processor; 0 leaves it to torch.
    """

    backbone: str = "squeezenet1_1"
    pooling: Pooling = "max"
    canvas_size: int = 896
    input_size: int = 224
    tau: float = 0.7
    stages: tuple[str, ...] = STAGES
    epochs: tuple[int, int, int] = (12, 8, 4)
    learning_rates: tuple[float, float, float] = (3e-4, 3e-4, 1e-3)
    second_look: SecondLook = "global"
    batch_size: int = 32
    weight_decay: float = 1e-2
    balance: bool = True
    select: Select = "last"
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: Precision = "32-true"
    devices: int = 1
    threads: int = 0
    seed: int = 7

    def __post_init__(self) -> None:
        if unknown := set(self.stages) - set(STAGES):
            raise TrainingError(f"stages: wanted some of {', '.join(STAGES)}, got {sorted(unknown)[0]!r}")
        if len(self.epochs) != len(STAGES) or len(self.learning_rates) != len(STAGES):
            raise TrainingError("epochs and learning_rates: wanted three numbers, for global, local and fusion")
        if min(self.epochs) < 1 or min(self.learning_rates) <= 0 or self.batch_size < 1:
            raise TrainingError("epochs, learning_rates and batch_size: wanted positive numbers")
        for name, wanted in (("select", Select), ("second_look", SecondLook), ("precision", Precision)):
            if (value := getattr(self, name)) not in get_args(wanted):
                raise TrainingError(f"{name}: wanted one of {', '.join(get_args(wanted))}, got {value!r}")

    @property
    def network(self) -> AgcnnConfig:
        """The network this run trains."""
        try:
            return AgcnnConfig(self.backbone, self.canvas_size, self.input_size, self.tau, self.pooling)
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


def from_toml(path: Path) -> dict[str, Any]:
    """The fields a TOML file names, for `configured`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path}: {error}") from error

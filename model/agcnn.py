"""AG-CNN: a global branch on the canvas, a local branch on the attended region, and their fusion (Guan et al. 2018)."""

import copy
from dataclasses import dataclass, replace
from functools import partial
from math import inf, isfinite
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn
from torch.nn import functional

from model.branch import BACKBONES, Branch, BranchOutput, Pooling
from model.crop import crop
from model.fusion import Fusion
from model.heat_map import Statistic, heat_map
from model.normalisation import GREY_MEAN, GREY_STD, Scale
from model.region import region

SMALLEST_INPUT = 32
CropFrom = Literal["canvas", "input"]


@dataclass(frozen=True)
class AgcnnConfig:
    """The architecture of a network: all that is needed to rebuild it, except the weights.

    Parameters
    ----------
    backbone
        Backbone of both branches, a name in `model.branch.BACKBONES`.
    canvas_size
        S, side of the canvas in pixels: a multiple of `input_size`.
    input_size
        Side of each branch's input in pixels.
    tau
        Threshold τ of the region, in (0, 1).
    pooling
        `max` as in the paper, or `average`.
    findings
        K, the number of logits.
    statistic
        Statistic of the heat map: `max` as in the paper, `l1` or `l2`.
    crop_from
        Source of the crop: the `canvas`, in full detail; or the global branch's `input`, as in the paper.
    pixel_mean, pixel_std
        Mean and standard deviation, in display values, to which both branches normalise their input.
    second_look
        Whether there are a local branch and a fusion layer, as in the paper. Without them the fusion logits are those
        of the global branch.
    mirror
        Whether the global branch sees the canvas and its mirror image, and decides by the mean of both, except while it
        is trained itself.

    Raises
    ------
    ValueError
        A value is invalid.
    """

    backbone: str = "squeezenet1_1"
    canvas_size: int = 896
    input_size: int = 224
    tau: float = 0.7
    pooling: Pooling = "max"
    findings: int = 14
    statistic: Statistic = "max"
    crop_from: CropFrom = "canvas"
    pixel_mean: float = GREY_MEAN
    pixel_std: float = GREY_STD
    second_look: bool = True
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone must be one of {', '.join(sorted(BACKBONES))}, got {self.backbone!r}")
        choices = {"pooling": Pooling, "statistic": Statistic, "crop_from": CropFrom}
        for name, choice in choices.items():
            if (value := getattr(self, name)) not in get_args(choice):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choice))}, got {value!r}")
        if self.input_size < SMALLEST_INPUT:
            raise ValueError(f"input_size must be at least {SMALLEST_INPUT}, got {self.input_size}")
        if self.canvas_size < self.input_size or self.canvas_size % self.input_size:
            raise ValueError(f"canvas_size must be a multiple of input_size {self.input_size}, got {self.canvas_size}")
        if not 0 < self.tau < 1:
            raise ValueError(f"tau must lie between 0 and 1, got {self.tau}")
        if self.findings < 1:
            raise ValueError(f"findings must be at least 1, got {self.findings}")
        if not (isfinite(self.pixel_mean) and 0 < self.pixel_std < inf):
            got = f"{self.pixel_mean} and {self.pixel_std}"
            raise ValueError(f"pixel_mean and pixel_std must be finite, and pixel_std above 0, got {got}")

    @property
    def scale(self) -> Scale:
        """Scale to which both branches normalise their input."""
        return Scale(self.pixel_mean, self.pixel_std)


class Attention(NamedTuple):
    """The output of the global branch and the region that it attends to.

    `branch` is the global branch's output, `heat_map [B, h, w]` in [0, 1], `box [B, 4]` in [0, 1], `crop [B, 1, n, n]`;
    the last two pass no gradient to the global branch.
    """

    branch: BranchOutput
    heat_map: Tensor
    box: Tensor
    crop: Tensor


class AgcnnOutput(NamedTuple):
    """Logits `fusion`, `global_`, `local [B, K]`; `heat_map [B, h, w]`, `class_maps [B, K, h, w]`, `box [B, 4]`.

    Without a second look `local` is None, and `fusion` is `global_`.
    """

    fusion: Tensor
    global_: Tensor
    local: Tensor | None
    heat_map: Tensor
    class_maps: Tensor
    box: Tensor


class Agcnn(nn.Module):
    """Attention-guided network of two branches, with weights of their own, and a fusion layer.

    Without a second look it has neither `local_branch` nor `fusion`.
    """

    local_branch: Branch
    fusion: Fusion

    def __init__(self, config: AgcnnConfig) -> None:
        super().__init__()
        self.config = config
        self.global_branch = Branch(config.backbone, config.findings, config.pooling, config.scale)
        if config.second_look:
            self.local_branch = Branch(config.backbone, config.findings, config.pooling, config.scale)
            self.fusion = Fusion(self.global_branch.channels, config.findings)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The global branch and, with a second look, the local one."""
        return (self.global_branch, self.local_branch) if self.config.second_look else (self.global_branch,)

    def shrink(self, canvas: Tensor) -> Tensor:
        """Area-average `[B, 1, S, S]` to the input size `[B, 1, n, n]`.

        Raises
        ------
        ValueError
            The shape is not `[B, 1, S, S]` with the S of the configuration.
        """
        side = self.config.canvas_size
        if canvas.ndim != 4 or tuple(canvas.shape[1:]) != (1, side, side):
            raise ValueError(f"canvas must have shape [B, 1, {side}, {side}], got {list(canvas.shape)}")
        return functional.avg_pool2d(canvas, side // self.config.input_size)

    def attend(self, canvas: Tensor) -> Attention:
        """Run the global branch on the canvas `[B, 1, S, S] float32 in [0, 1]` and crop the attended region."""
        small, output, heat, box = self._locate(canvas)
        source = canvas if self.config.crop_from == "canvas" else small
        return Attention(output, heat, box, crop(source, box, self.config.input_size))

    def forward(self, canvas: Tensor) -> AgcnnOutput:
        """Run all branches on the canvas `[B, 1, S, S] float32 in [0, 1]`."""
        if not self.config.second_look:
            _, output, heat, box = self._locate(canvas)
            class_maps = self.global_branch.class_maps(output.features)
            return AgcnnOutput(output.logits, output.logits, None, heat, class_maps, box)
        attention = self.attend(canvas)
        near = self.local_branch(attention.crop)
        return AgcnnOutput(
            fusion=self.fusion(attention.branch.pooled, near.pooled),
            global_=attention.branch.logits,
            local=near.logits,
            heat_map=attention.heat_map,
            class_maps=self.global_branch.class_maps(attention.branch.features),
            box=attention.box,
        )

    def _locate(self, canvas: Tensor) -> tuple[Tensor, BranchOutput, Tensor, Tensor]:
        """Return the global branch's input and output, its heat map and its box."""
        small = self.shrink(canvas)
        look = self.global_branch.forward_with_mirror if self.config.mirror else self.global_branch
        output = look(small)
        heat = heat_map(output.features, self.config.statistic)
        return small, output, heat, region(heat.detach(), self.config.tau)


def without_second_look(network: Agcnn) -> Agcnn:
    """Copy a network without its local branch and fusion layer; the fusion logits are then the global branch's."""
    network = copy.deepcopy(network)
    if network.config.second_look:
        network.config = replace(network.config, second_look=False)
        del network.local_branch, network.fusion
    return network


def freeze(module: nn.Module) -> None:
    """Freeze a module permanently: no gradient, and evaluation mode that `train()` of a parent does not change."""
    module.eval()
    module.requires_grad_(False)
    # Otherwise batch norms would update their statistics when the parent is put into training mode.
    module.train = partial(_stay, module)  # type: ignore[method-assign]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return module

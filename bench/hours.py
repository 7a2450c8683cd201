"""Expected hours of training on one GPU, computed rather than measured: `python -m bench.hours [--write]`.

The work is the number of multiplications and additions of the network, counted by torch. The speed is that of the
paper's authors: six hours for one branch of ResNet-50 on a TITAN Xp, 50 epochs of more than 78,000 images. For other
GPUs it is scaled by the peak of the data sheet. Convolutions reach a smaller share of the peak of newer GPUs, so that
their hours are lower bounds ("at least").
"""

import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.scores import between, table
from model.branch import Branch
from training.fit.config import STAGES, TrainConfig
from training.fit.recipe import resolve_config

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
IMAGES = 78_468  # training part of the 70/10/20 list
BACKWARD = 2  # work of the backward pass, in forward passes
PAPER_HOURS, PAPER_EPOCHS, PAPER_IMAGES = 6, 50, 78_484  # Guan et al. 2020; 70 % of 112,120
PEAKS = {
    "TITAN Xp, float32": 12.1e12,
    "A100, bfloat16, at least": 312e12,
    "H100, bfloat16, at least": 989e12,
}  # data sheets of the manufacturers


def forward_work(backbone: str, side: int) -> int:
    """Multiplications and additions of one branch for one image."""
    with torch.device("meta"):
        branch, image = Branch(backbone), torch.zeros(1, 1, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        branch(image)
    return counter.get_total_flops()


def stage_work(config: TrainConfig) -> dict[str, float]:
    """Multiplications and additions of every stage of a recipe, over all its epochs."""
    forward = forward_work(config.backbone, config.input_size)
    passes = {"global": 1 + BACKWARD, "local": 1 + (1 + BACKWARD), "fusion": 2}  # in forward passes of one branch
    return {
        stage: passes[stage] * forward * IMAGES * epochs for stage, epochs in zip(STAGES, config.epochs, strict=True)
    }


def duration(hours: float) -> str:
    """Format as hours, or as minutes if less than one hour."""
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def main() -> None:
    paper = resolve_config("paper", None, {})
    work = (1 + BACKWARD) * forward_work(paper.backbone, paper.input_size) * PAPER_IMAGES * PAPER_EPOCHS
    share = work / (PAPER_HOURS * 3600) / PEAKS["TITAN Xp, float32"]
    about = (
        f"The paper's six hours for one branch are {share:.0%} of the peak of a TITAN Xp. "
        "Every column assumes the same share of its own peak."
    )
    rows = [["recipe", "backbone", "stage", *PEAKS]]
    for recipe, backbone in (("paper", "resnet50"), ("paper", "densenet121"), ("modern", "resnet50")):
        config = resolve_config(recipe, None, {"backbone": backbone})
        for (stage, amount), epochs in zip(stage_work(config).items(), config.epochs, strict=True):
            seconds = [amount / (share * peak) for peak in PEAKS.values()]
            cells = [f"{duration(each / 3600)}, {IMAGES * epochs / each:,.0f} images/s" for each in seconds]
            rows.append([recipe, backbone, stage, *cells])
    text = f"{about}\n\n{table(rows)}"
    if "--write" in sys.argv:
        between(PAGE, "hours: python -m bench.hours --write", text)
    print(text)


if __name__ == "__main__":
    main()

"""The command `agcnn train`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from training.cli.choices import (
    Accelerator,
    Backbone,
    CropFrom,
    Optimiser,
    Pooling,
    Precision,
    Recipe,
    Schedule,
    Select,
    Split,
    Statistic,
    Uncertain,
)
from training.cli.data import CacheFolder, DataFolders
from training.cli.interruption import resumable
from training.errors import TrainingError, one_line

THREE = "G,L,F"  # one value for each stage


def train(  # noqa: PLR0913 - options
    data: DataFolders,
    out: Annotated[Path, typer.Option(help="Run folder, to which weights, history and results are written.")],
    recipe: Annotated[Recipe, typer.Option(help="Named settings; paper: those of Guan et al.")] = "modern",
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings, which override those of the recipe.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Starting weights: network.safetensors of a run, an artefact (.onnx), or published backbone weights "
            "(.npz, .pth)."
        ),
    ] = None,
    split: Annotated[
        Split, typer.Option(help="Images to train on; with train, every epoch is scored on val.")
    ] = "train",
    fold: Annotated[
        str | None,
        typer.Option(help="Train on train+val without part K of N, divided by patient; K is 1 to N.", metavar="K/N"),
    ] = None,
    backbone: Annotated[Backbone | None, typer.Option(help="Backbone of both branches.")] = None,
    stages: Annotated[
        str | None,
        typer.Option(help="Stages to train, with commas between them, such as local,fusion.", metavar="STAGES"),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option(help="Epochs of the stages global, local and fusion, such as 12,8,4.", metavar=THREE),
    ] = None,
    rates: Annotated[
        str | None, typer.Option(help="Peak learning rates of the three stages, such as 3e-4,3e-4,1e-3.", metavar=THREE)
    ] = None,
    batches: Annotated[
        str | None, typer.Option(help="Batch sizes of the three stages, per process, such as 32,32,32.", metavar=THREE)
    ] = None,
    optimiser: Annotated[Optimiser | None, typer.Option(help="Optimiser.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay of the optimiser.")] = None,
    schedule: Annotated[
        Schedule | None, typer.Option(help="Learning rate schedule; step: divide the rate by 10 after 20 epochs.")
    ] = None,
    canvas_size: Annotated[int | None, typer.Option(help="Side of the canvas in pixels.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Side of each branch's input in pixels.")] = None,
    pooling: Annotated[Pooling | None, typer.Option(help="Global pooling of both branches.")] = None,
    statistic: Annotated[Statistic | None, typer.Option(help="Statistic over channels of the heat map.")] = None,
    tau: Annotated[
        float | None, typer.Option(help="Threshold of the region, between 0 and 1; the larger, the smaller the crops.")
    ] = None,
    crop_from: Annotated[
        CropFrom | None, typer.Option(help="Source of the crop: the canvas or the global branch's input.")
    ] = None,
    mirror: Annotated[
        bool | None,
        typer.Option(help="Whether the global branch decides by the mean of the canvas and its mirror image."),
    ] = None,
    no_finding: Annotated[
        bool | None,
        typer.Option(
            "--no-finding/--findings-only",
            help="Whether to train an additional output, No Finding, which is not scored.",
        ),
    ] = None,
    positive_weight: Annotated[
        bool | None, typer.Option(help="Whether positives of rare findings have a larger weight in the loss.")
    ] = None,
    teachers: Annotated[
        list[Path] | None,
        typer.Option("--teacher", metavar="<path>", help="Finished run to distil from; may be repeated."),
    ] = None,
    distil: Annotated[
        float | None, typer.Option(help="Weight of the teachers' probabilities in the targets, 0 to 1.")
    ] = None,
    without: Annotated[
        Path | None, typer.Option(help="Another folder of data, whose patients are excluded from training.")
    ] = None,
    uncertain: Annotated[
        Uncertain,
        typer.Option(help="Value of uncertain labels of CheXpert and MIMIC-CXR-JPG: present, absent or unknown."),
    ] = "ignore",
    average: Annotated[
        float | None, typer.Option(help="Decay of the moving average of the weights; 0 for no average.")
    ] = None,
    select: Annotated[
        Select | None, typer.Option(help="Epoch of each stage to keep: the best on val, or the last.")
    ] = None,
    devices: Annotated[int | None, typer.Option(help="Number of processes on this machine, one per GPU.")] = None,
    num_nodes: Annotated[
        int | None,
        typer.Option(
            help="Number of machines; start the same command on each, by torchrun or with NODE_RANK and MASTER_ADDR."
        ),
    ] = None,
    accelerator: Annotated[
        Accelerator | None, typer.Option(help="Processor or GPU; auto: a GPU if there is one.")
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="Floating-point precision; auto: bf16-mixed if the device has instructions for it; "
            "16-mixed requires a GPU."
        ),
    ] = None,
    deterministic: Annotated[
        bool | None,
        typer.Option(
            "--deterministic/--fastest", help="Whether a GPU uses deterministic kernels where torch has them."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Number of loader processes of each training process.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed; equal seeds and data give equal weights.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Processor threads of each training process; 0: torch's default.")
    ] = None,
    cache: CacheFolder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out after its last epoch.")] = False,
) -> None:
    """Train the global branch, the local branch on its crops, and the fusion layer.

    Options override the settings of --config, which override those of --recipe.
    """
    from training.fit import run
    from training.fit.plan import Plan
    from training.fit.recipe import resolve_config

    with one_line():
        options: dict[str, Any] = {
            "backbone": backbone,
            "stages": stages and tuple(stages.split(",")),
            "epochs": epochs and numbers(epochs, int),
            "learning_rates": rates and numbers(rates, float),
            "batch_sizes": batches and numbers(batches, int),
            "optimiser": optimiser,
            "weight_decay": weight_decay,
            "schedule": schedule,
            "canvas_size": canvas_size,
            "input_size": input_size,
            "pooling": pooling,
            "statistic": statistic,
            "tau": tau,
            "crop_from": crop_from,
            "mirror": mirror,
            "no_finding": no_finding,
            "positive_weight": positive_weight,
            "distil": distil,
            "average": average,
            "select": select,
            "devices": devices,
            "num_nodes": num_nodes,
            "accelerator": accelerator,
            "precision": precision,
            "deterministic": deterministic,
            "workers": workers,
            "seed": seed,
            "threads": threads,
        }
        settings = resolve_config(recipe, config, {name: value for name, value in options.items() if value is not None})
        plan = Plan(data[0], cache or out.parent / "cache", split, part(fold) if fold else None, init)
        plan = replace(plan, teachers=tuple(teachers or ()), without=without, further=tuple(data[1:]))
        with resumable(sys.argv[1:]):
            run.train(replace(plan, uncertain=uncertain), settings, out, resume)


def numbers(text: str, kind: type) -> tuple[Any, ...]:
    """Parse `12,8,4` to a tuple.

    Raises
    ------
    TrainingError
        A word is not a number.
    """
    try:
        return tuple(kind(word) for word in text.split(","))
    except ValueError as error:
        raise TrainingError(f"expected numbers with commas between them, got {text!r}") from error


def part(text: str) -> tuple[int, int]:
    """Parse `1/4` to (0, 4).

    Raises
    ------
    TrainingError
        The text has another form.
    """
    words = text.split("/")
    if len(words) != 2 or not all(word.isdecimal() for word in words) or not 1 <= int(words[0]) <= int(words[1]):
        raise TrainingError(f"fold: expected K/N with K from 1 to N, such as 1/4, got {text!r}")
    return int(words[0]) - 1, int(words[1])

"""The command `agcnn adopt`."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.choices import Form
from training.cli.data import CacheFolder
from training.errors import TrainingError, one_line


def adopt(  # noqa: PLR0913 - options
    weights: Annotated[
        Path, typer.Option(help="State dict of a DenseNet-121 or ResNet-50: .safetensors, .pt, .pth or .pth.tar.")
    ],
    form: Annotated[Form, typer.Option(help="Publisher's form; torchvision: any, with --labels and --scale.")],
    source: Annotated[
        str, typer.Option(metavar="TEXT", help="Origin, licence and training data of the weights, for the card.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of labelled images: train and val are predicted, for calibration by evaluate."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Label of each output, in order, with commas between them; a blank one drops its output.",
        ),
    ] = None,
    keep_other_labels: Annotated[
        bool, typer.Option("--keep-other-labels", help="Keep the form's outputs that are not in ChestX-ray14, too.")
    ] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="SCALE",
            help="Scale of the input, for the form torchvision: imagenet, torchxrayvision, or mean and standard "
            "deviation of display values in [0, 1], such as 0.5,0.25.",
        ),
    ] = None,
    input_size: Annotated[
        int | None, typer.Option(help="Side of the network's input in pixels.", show_default="that of the form")
    ] = None,
    canvas_size: Annotated[
        int | None, typer.Option(help="Side of the canvas in pixels.", show_default="a multiple near 896")
    ] = None,
    cache: CacheFolder = None,
) -> None:
    """Make a run folder of a published network, to be evaluated, exported and served like a trained one.

    The file is only read: code in it is not run. Its licence is yours to check.
    """
    from training.data.relabel import relabel
    from training.data.sources import canvases
    from training.export import adoption
    from training.fit import checkpoint

    with one_line():
        if (out / checkpoint.DOCUMENT).exists():
            raise TrainingError(f"{out} contains a run already; choose another --out")
        named = tuple(label.strip() for label in labels.split(",")) if labels is not None else None
        publication = adoption.Publication(
            weights, form, source, named, keep_other_labels, scale, input_size, canvas_size
        )
        network, document = adoption.adopt(publication)
        out.mkdir(parents=True, exist_ok=True)
        if data:
            images = canvases(data, "train+val", network.config.canvas_size, cache or out.parent / "cache")
            adoption.hold_out(out, network, relabel(images, document["labels"]))
            document["held_out"] = images.name
        checkpoint.save(out, network, document)
    typer.echo(f"{out}: {len(document['labels'])} findings: {', '.join(document['labels'])}")
    if dropped := [name or "untrained" for name in document["adopted"]["outputs"] if name not in document["labels"]]:
        typer.echo(f"outputs that are not used: {len(dropped)}: {', '.join(dropped)}")

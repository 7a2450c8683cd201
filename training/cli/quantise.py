"""The command `agcnn quantise`."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.data import CACHE_HELP, DataFolders
from training.errors import one_line


def quantise(
    artefact: Annotated[Path, typer.Argument(help="ONNX file of `agcnn export`; it is only read.")],
    data: DataFolders,
    output: Annotated[Path, typer.Option(help="ONNX file to write.")],
    images: Annotated[
        int, typer.Option(min=1, help="Number of training images on which ranges of activations are measured.")
    ] = 64,
    reduce_range: Annotated[
        bool | None,
        typer.Option(
            "--reduce-range/--full-range",
            help="Weights of 7 bits, exact on every processor, or of 8 bits, for processors with VNNI.",
            show_default="--full-range if this processor has VNNI",
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help=CACHE_HELP, show_default="cache/ in the folder of the artefact")
    ] = None,
) -> None:
    """Write an artefact that computes with 8-bit integers, provided that it says the same on val.

    Refused are a macro AUROC that moves by more than 0.005, and boxes whose mean intersection over union is below 0.9.
    """
    from training.export import quantisation
    from training.export.quantised_graph import has_vnni

    with one_line():
        calibration = quantisation.Calibration(images, not has_vnni() if reduce_range is None else reduce_range)
        entry = quantisation.quantise(artefact, data, output, cache or artefact.parent / "cache", calibration)
        agreement = "" if entry["agreement"] is None else f", {entry['agreement']:.2%} of the decisions are the same"
        typer.echo(f"{output}: {entry['weight_bits']}-bit weights, ranges of {entry['calibration_images']} images")
        typer.echo(
            f"{entry['source']}, {entry['images']} images: macro AUROC {entry['auroc']:.4f}, in float "
            f"{entry['auroc_float']:.4f}; mean IoU of the boxes {entry['box_iou']:.3f}{agreement}"
        )
        typer.echo(f"The check for atypical images is left out; add it with agcnn typical --artefact {output}")

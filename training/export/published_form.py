"""The forms of published chest networks: names of their outputs, scale and side of their input."""

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

from model.labels import LABELS
from model.normalisation import GREY, Scale
from training.errors import TrainingError

# `DenseNet.targets` and `ResNet.targets` in torchxrayvision/models.py: the outputs of all its networks, in order.
XRV_OUTPUTS = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
)
XRV_SCALE = Scale(0.5, 1 / 2048)  # `normalize` in torchxrayvision/utils.py: (2 x − 1) × 1024


class Form(NamedTuple):
    """What is known of the networks of one publisher.

    Attributes
    ----------
    scale
        Scale of the input; None if the user must state it.
    outputs
        Label of each output, in order; None if the user must name them.
    thresholds
        Whether the file's buffer `op_threshs` tells which outputs were trained: those of the others are NaN.
    sides
        Side of the input in pixels, by backbone.
    """

    scale: Scale | None
    outputs: tuple[str, ...] | None
    thresholds: bool
    sides: Mapping[str, int]


FORMS = {
    # 512 pixels for `resnet50-res512-all`: `fix_resolution` in torchxrayvision/models.py
    "torchxrayvision": Form(XRV_SCALE, XRV_OUTPUTS, True, {"densenet121": 224, "resnet50": 512}),
    # Rajpurkar et al. (arXiv:1711.05225) and reimplementations: ImageNet's normalisation, ChestX-ray14's order
    "chexnet": Form(GREY, LABELS, False, {"densenet121": 224, "resnet50": 224}),
    "torchvision": Form(None, None, False, {"densenet121": 224, "resnet50": 224}),
}
SCALES = {"imagenet": GREY, "torchxrayvision": XRV_SCALE}


def choose_scale(form: str, stated: str | None) -> Scale:
    """Return the scale of a form or, if it has none, the stated one: a name of `SCALES`, or two numbers as `0.5,0.25`.

    Raises
    ------
    TrainingError
        The form has a scale and another is stated; it has none and none is stated; or the statement cannot be read.
    """
    known = FORMS[form].scale
    if known and stated:
        raise TrainingError(f"--scale: the form {form} has its own; for another scale, use the form torchvision")
    if known:
        return known
    choices = f"{', '.join(SCALES)} or MEAN,STD of display values in [0, 1], such as 0.5,0.25"
    if not stated:
        raise TrainingError(f"--scale: the form {form} does not say how the input is scaled; state {choices}")
    return SCALES.get(stated) or read_scale(stated, choices)


def read_scale(stated: str, choices: str) -> Scale:
    """Read a mean and a standard deviation, separated by a comma."""
    try:
        mean, std = (float(number) for number in stated.split(","))
    except ValueError:
        raise TrainingError(f"--scale: expected {choices}, got {stated!r}") from None
    if not (isfinite(mean) and isfinite(std) and std > 0):
        raise TrainingError(f"--scale: expected finite numbers and a deviation above 0, got {stated!r}")
    return Scale(mean, std)


def name_outputs(
    form: str, count: int, stated: tuple[str, ...] | None, trained: tuple[bool, ...] | None
) -> tuple[str, ...]:
    """Return the label of each output; blank for one that is not to be used.

    Parameters
    ----------
    count
        Number of outputs of the file.
    stated
        Labels from the user, which replace those of the form.
    trained
        Whether each output was trained, if the file says so.

    Raises
    ------
    TrainingError
        The labels do not fit the number of outputs, are not unique, are all blank, or are not known.
    """
    known = stated or FORMS[form].outputs
    if not known:
        raise TrainingError(f"--labels: the form {form} does not name the {count} outputs; name them in order")
    if len(known) != count:
        raise TrainingError(f"--labels: the network has {count} outputs, got {len(known)} labels for them")
    if not stated and FORMS[form].thresholds:
        if trained is None:
            raise TrainingError(
                "--labels: without op_threshs the file does not say which outputs were trained; name those, and leave "
                "the others blank, as torchxrayvision's `targets` does"
            )
        known = tuple(label if is_trained else "" for label, is_trained in zip(known, trained, strict=True))
    used = [label for label in known if label]
    if len(set(used)) < len(used) or not used:
        raise TrainingError("--labels: expected at least one label, and none of them twice")
    return known


def choose_outputs(names: tuple[str, ...], others: bool) -> list[int]:
    """Return the indices of the outputs to keep: those of ChestX-ray14 in its order, then `others` in theirs.

    Raises
    ------
    TrainingError
        None is left.
    """
    kept = [index for index, name in enumerate(names) if name in LABELS or (others and name)]
    if not kept:
        raise TrainingError("no output has a label of ChestX-ray14; keep the others with --keep-other-labels")
    return sorted(kept, key=lambda index: (*LABELS, names[index]).index(names[index]))

"""The sample files of the repository."""

from pathlib import Path
from typing import NamedTuple

from training.phantom.dicom import Encoding, write_dicom
from training.phantom.film import phantom

SHAPE = (1024, 896)
SEED = 2017


class Recipe(NamedTuple):
    """A sample file: name, number and findings of the phantom, description, and encoding."""

    name: str
    number: int
    findings: tuple[str, ...]
    about: str
    encoding: Encoding = Encoding(compressed=True)


RECIPES = (
    Recipe("normal.dcm", 24, (), "no finding"),
    Recipe("pneumothorax.dcm", 4, ("Pneumothorax",), "air outside one lung"),
    Recipe("cardiomegaly.dcm", 32, ("Cardiomegaly",), "a heart wider than half the chest"),
    Recipe("effusion.dcm", 60, ("Effusion",), "fluid under one lung"),
    Recipe(
        "nodule_monochrome1.dcm",
        88,
        ("Nodule",),
        "one small nodule, stored inverted (MONOCHROME1)",
        Encoding("MONOCHROME1", compressed=True),
    ),
    Recipe(
        "lateral.dcm",
        44,
        (),
        "marked as a lateral view, so the service refuses it; the image itself is frontal",
        Encoding(compressed=True, view="LL"),
    ),
)


def samples(folder: Path) -> tuple[Path, ...]:
    """Write the sample files and their README.md into a folder, which is made where missing.

    Returns
    -------
    Paths of the DICOM files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(_readme(), encoding="utf-8")
    return tuple(_written(folder / recipe.name, recipe) for recipe in RECIPES)


def _written(path: Path, recipe: Recipe) -> Path:
    picture = phantom(SEED, recipe.number, SHAPE, recipe.findings)
    path.write_bytes(write_dicom(picture, SEED, recipe.encoding))
    return path


def _readme() -> str:
    rows = "\n".join(f"| `{recipe.name}` | {recipe.about} |" for recipe in RECIPES)
    return f"""# Samples

Synthetic radiographs (phantoms), computed from attenuation integrals through a geometric model of a chest. They show
no person: every name begins with `PHANTOM^`. They demonstrate that the service works, not its accuracy: the network was
trained on real radiographs and is not expected to detect findings in synthetic images.

| file | content |
|---|---|
{rows}

{SHAPE[0]} × {SHAPE[1]} pixels, 12 bits, DX For Presentation, JPEG-LS lossless. Made by
`agcnn phantom --samples`, with equal bytes for equal versions of NumPy, SciPy and the encoder.
"""

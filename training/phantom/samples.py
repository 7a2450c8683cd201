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
        "a frontal image whose header says it is a lateral view, so that the service refuses it",
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

Synthetic phantoms: the attenuation of a geometric chest model is computed along each ray. They show no person, and
every patient name begins with `PHANTOM^`. They demonstrate that the service works, but not how accurate it is. The
network was trained on real radiographs and is not expected to detect findings in these synthetic images.

| file | content |
|---|---|
{rows}

Each file is a DX image For Presentation with {SHAPE[0]} rows, {SHAPE[1]} columns and 12 bits, in JPEG-LS lossless.
`agcnn phantom --samples` writes the files, with the same bytes each time for the same versions of NumPy, SciPy and the
encoder.
"""

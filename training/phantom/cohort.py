"""A cohort of phantoms as a folder of data: DICOM files and the tables that `folder_dataset` reads."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import track

from model.labels import LABELS
from training.data.folder_dataset import BOX_COLUMNS, BOXES, TABLE, deal, split_cases
from training.data.sample import Case
from training.errors import TrainingError
from training.phantom.dicom import Encoding, write_dicom
from training.phantom.film import patient_number, phantom, picked

COHORT = "phantoms.json"
CHUNK = 64  # images between two writings of the tables; a multiple of four, as patients are
THINNEST = 1e-3  # share of the picture
COLUMNS = ("image", "patient", "split", "sex", "age", "view", *LABELS)

Mapping = Callable[[Callable[[int], Case], Sequence[int]], Iterable[Case]]


@dataclass(frozen=True)
class Cohort:
    """What decides every phantom but how many there are.

    Attributes
    ----------
    size
        (height, width) in pixels.
    findings
        Among which to draw; the fewer, the more often each: about a third of the images show none.
    small
        Probability that a nodule is 7 to 13 mm across, and not 13 to 29.
    """

    seed: int
    size: tuple[int, int]
    findings: tuple[str, ...] = LABELS
    small: float = 0.0

    def __post_init__(self) -> None:
        if not self.findings or set(self.findings) - set(LABELS):
            raise TrainingError(f"findings: wanted some of {', '.join(LABELS)}")


def write(folder: Path, cohort: Cohort, count: int, workers: int) -> int:
    """Draw phantoms 0 to count - 1 that are not there yet; what an interrupted writing left is kept.

    Returns
    -------
    How many the folder holds.

    Raises
    ------
    TrainingError
        The folder holds another cohort, or something else.
    """
    found = {case.image: case for case in claimed(folder, cohort)}
    names = [name(index) for index in range(count)]
    todo = [index for index in range(count) if names[index] not in found]
    console = Console(stderr=True)
    quiet = not console.is_terminal
    with mapping(workers) as over:
        for start in track(range(0, len(todo), CHUNK), "drawing phantoms", console=console, disable=quiet):
            made = over(partial(draw, folder, cohort), todo[start : start + CHUNK])
            found |= {case.image: case for case in made}
            write_tables(folder, [found[image] for image in sorted(found)])
    return len(found)


def name(index: int) -> str:
    """A phantom's file."""
    return f"phantom_{index:06d}.dcm"


def claimed(folder: Path, cohort: Cohort) -> list[Case]:
    """Make the folder a cohort's, or see that it is: the phantoms it holds already."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    wanted = json.dumps(asdict(cohort), indent=1) + "\n"
    if (folder / COHORT).is_file() and (folder / COHORT).read_text(encoding="utf-8") != wanted:
        raise TrainingError(f"{folder / COHORT} is of phantoms drawn otherwise: another --out begins anew")
    if not (folder / COHORT).is_file() and (folder / TABLE).is_file():
        raise TrainingError(f"{folder} holds other data: give another --out")
    (folder / COHORT).write_text(wanted, encoding="utf-8")
    cases = [*chain(*split_cases(folder).values())] if (folder / TABLE).is_file() else []
    return [case for case in cases if (folder / "images" / case.image).is_file()]


def draw(folder: Path, cohort: Cohort, index: int) -> Case:
    """Write one phantom's file, and say what it shows."""
    labels = picked(cohort.seed, index, cohort.findings)
    picture = phantom(cohort.seed, index, cohort.size, labels, cohort.small)
    file = folder / "images" / name(index)
    file.with_suffix(".part").write_bytes(write_dicom(picture, cohort.seed, Encoding(compressed=True)))
    file.with_suffix(".part").replace(file)
    return Case(
        image=file.name,
        patient=f"PHANTOM-{cohort.seed}-{patient_number(index):06d}",
        findings=tuple(float(label in labels) for label in LABELS),
        sex=picture.sex,
        age=float(picture.age),
        view=picture.view,
        boxes=picture.boxes,
    )


def write_tables(folder: Path, cases: Sequence[Case]) -> None:
    """Both tables anew: boxes first, so that an image with a row in the table of findings has its boxes too."""
    boxes = [
        (case.image, label, *(f"{edge:.4f}" for edge in box))
        for case in cases
        for label, found in case.boxes.items()
        for box in found
        if box[0] + THINNEST < box[2] and box[1] + THINNEST < box[3]  # not out of the picture
    ]
    rows = [
        (
            case.image,
            case.patient,
            deal(case.patient),
            case.sex,
            f"{case.age:.0f}",
            case.view,
            *map(shown, case.findings),
        )
        for case in cases
    ]
    write_table(folder / BOXES, BOX_COLUMNS, boxes)
    write_table(folder / TABLE, COLUMNS, rows)


def shown(finding: float) -> str:
    """0 or 1."""
    return f"{finding:.0f}"


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """One CSV file, whole or not at all."""
    part = file.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    part.replace(file)


@contextmanager
def mapping(workers: int) -> Iterator[Mapping]:
    """`map` over so many processes; in this one where it is one."""
    if workers == 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=4)

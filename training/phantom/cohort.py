"""A cohort of phantoms as a folder of data: DICOM files and the tables of `folder_dataset`."""

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

from model.labels import LABELS
from training.data.folder_dataset import BOX_COLUMNS, BOXES, TABLE, assign_split, split_cases
from training.data.sample import Case
from training.errors import TrainingError
from training.phantom.dicom import Encoding, write_dicom
from training.phantom.film import draw_labels, patient_number, phantom
from training.progress import progress_bar

COHORT = "phantoms.json"
CHUNK = 64  # images between two updates of the tables; a multiple of four, since four images belong to three patients
THINNEST = 1e-3  # smallest side of a box, as a share of the picture
COLUMNS = ("image", "patient", "split", "sex", "age", "view", *LABELS)

Mapping = Callable[[Callable[[int], Case], Sequence[int]], Iterable[Case]]


@dataclass(frozen=True)
class Cohort:
    """The parameters of a cohort of phantoms; the number of images is not one of them.

    Attributes
    ----------
    size
        (height, width) in pixels.
    findings
        Labels to draw from. About a third of the images show none, so each of a few labels is drawn more often.
    small
        Probability that a nodule has a diameter of 7 to 13 mm instead of 13 to 29.
    """

    seed: int
    size: tuple[int, int]
    findings: tuple[str, ...] = LABELS
    small: float = 0.0

    def __post_init__(self) -> None:
        if not self.findings or set(self.findings) - set(LABELS):
            raise TrainingError(f"findings: expected some of {', '.join(LABELS)}")


def write(folder: Path, cohort: Cohort, count: int, workers: int) -> int:
    """Draw those of the phantoms 0 to count - 1 that the folder does not contain yet.

    Returns
    -------
    int
        Number of phantoms in the folder.

    Raises
    ------
    TrainingError
        The folder contains another cohort or other data.
    """
    cases = {case.image: case for case in claim(folder, cohort)}
    names = [name(index) for index in range(count)]
    todo = [index for index in range(count) if names[index] not in cases]
    with process_map(workers) as over, progress_bar() as progress:
        for start in progress.track(range(0, len(todo), CHUNK), description="drawing phantoms"):
            drawn = over(partial(draw, folder, cohort), todo[start : start + CHUNK])
            cases |= {case.image: case for case in drawn}
            write_tables(folder, [cases[image] for image in sorted(cases)])
    return len(cases)


def name(index: int) -> str:
    """Return the file name of a phantom."""
    return f"phantom_{index:06d}.dcm"


def claim(folder: Path, cohort: Cohort) -> list[Case]:
    """Create the folder of a cohort, or check that it is one, and return the cases that it contains already.

    Raises
    ------
    TrainingError
        The folder contains another cohort or other data.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    document = json.dumps(asdict(cohort), indent=1) + "\n"
    if (folder / COHORT).is_file() and (folder / COHORT).read_text(encoding="utf-8") != document:
        raise TrainingError(f"{folder / COHORT} has other parameters; choose another --out")
    if not (folder / COHORT).is_file() and (folder / TABLE).is_file():
        raise TrainingError(f"{folder} contains other data; choose another --out")
    (folder / COHORT).write_text(document, encoding="utf-8")
    cases = [*chain(*split_cases(folder).values())] if (folder / TABLE).is_file() else []
    return [case for case in cases if (folder / "images" / case.image).is_file()]


def draw(folder: Path, cohort: Cohort, index: int) -> Case:
    """Draw one phantom, write its file and return its case."""
    labels = draw_labels(cohort.seed, index, cohort.findings)
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
    """Rewrite both tables, boxes first, so that every image in the table of findings has its boxes."""
    boxes = [
        (case.image, label, *(f"{edge:.4f}" for edge in box))
        for case in cases
        for label, of_label in case.boxes.items()
        for box in of_label
        if box[0] + THINNEST < box[2] and box[1] + THINNEST < box[3]  # inside the picture
    ]
    rows = [
        (
            case.image,
            case.patient,
            assign_split(case.patient),
            case.sex,
            f"{case.age:.0f}",
            case.view,
            *map(format_finding, case.findings),
        )
        for case in cases
    ]
    write_table(folder / BOXES, BOX_COLUMNS, boxes)
    write_table(folder / TABLE, COLUMNS, rows)


def format_finding(finding: float) -> str:
    """Format a finding as 0 or 1."""
    return f"{finding:.0f}"


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file atomically."""
    part = file.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    part.replace(file)


@contextmanager
def process_map(workers: int) -> Iterator[Mapping]:
    """Provide `map` over `workers` processes, or in this process if it is one."""
    if workers == 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=4)

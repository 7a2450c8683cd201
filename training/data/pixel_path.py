"""A file to a canvas by the service's own functions: what a network is trained on is what it is served."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from service.dicom.canvas import Rule, canvas, grey_values
from service.dicom.radiograph import radiograph
from service.errors import InputError, UnsuitableImage
from training.data.sample import Case, Floats, Sample
from training.errors import TrainingError

RULE: Rule = "stretch"  # as the publisher of ChestX-ray14 did
PICTURES = (".png", ".jpg", ".jpeg")  # whatever else there is must be DICOM, whose files often have no suffix


@dataclass(frozen=True)
class Radiographs:
    """One split of a folder of data: what is known of each image without reading a pixel, and where its file lies.

    Attributes
    ----------
    size
        S of the canvases.
    """

    name: str
    cases: tuple[Case, ...]
    paths: tuple[Path, ...]
    size: int

    @cached_property
    def key(self) -> str:
        """Equal keys, equal canvases."""
        return digest((case.image for case in self.cases), self.paths, self.size)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Sample:
        """Read, through the pixel path of the service, one image."""
        case = self.cases[index]
        return Sample(case, canvas_of(self.paths[index], self.size, case.image))


def canvas_of(path: Path, size: int, name: str) -> Floats:
    """[1, S, S] float32 in [0, 1] of a PNG, a JPEG, or a DICOM file.

    Raises
    ------
    TrainingError
        The file cannot be read, or the service would refuse it: `name` and the service's codes, nothing of the header.
    """
    try:
        values = grey_values(path) if path.suffix.lower() in PICTURES else radiograph(path.read_bytes()).values
    except InputError as error:
        raise TrainingError(f"{name}: {', '.join(codes(error))} ({error.message})") from error
    except OSError as error:
        raise TrainingError(f"{name}: {error.strerror}") from error
    return canvas(values, size, RULE)


def digest(names: Iterable[str], paths: Iterable[Path], size: int) -> str:
    """16 hex digits of all that decides the canvases: files by name, bytes in size and time, canvas size, resize rule.

    The time tells of a file that was replaced by one of equal size, as uncompressed DICOM has it.
    """
    stats = [(name, path.stat()) for name, path in zip(names, paths, strict=True)]
    files = [f"{name} {found.st_size} {found.st_mtime_ns}" for name, found in stats]
    return hashlib.sha256("\n".join([f"{RULE} {size}", *files]).encode()).hexdigest()[:16]


def codes(error: InputError) -> tuple[str, ...]:
    """The service's codes for why it refuses a file: all the gate's reasons at once."""
    return tuple(reason.code for reason in error.reasons) if isinstance(error, UnsuitableImage) else (error.code,)

"""From a file to a canvas with the functions of the service, so that training and service see equal canvases."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from model.labels import LABELS
from service.dicom.canvas import Rule, canvas, grey_values
from service.dicom.radiograph import display_values, radiograph
from service.errors import InputError, UnsuitableImage
from training.data.sample import Case, Floats, Sample
from training.errors import TrainingError

RULE: Rule = "stretch"  # as in the published images of ChestX-ray14
PICTURES = (".png", ".jpg", ".jpeg")  # files with other suffixes, or none, are read as DICOM


@dataclass(frozen=True)
class Radiographs:
    """One split of a folder of data: metadata and path of each image; pixels are read by indexing.

    Attributes
    ----------
    size
        Side S of the canvases, in pixels.
    labels
        Label of each of the K findings of a case, in order.
    header_checked
        Whether DICOM files that the service would refuse for their headers are refused here, too.
    """

    name: str
    cases: tuple[Case, ...]
    paths: tuple[Path, ...]
    size: int
    labels: tuple[str, ...] = LABELS
    header_checked: bool = True

    @cached_property
    def keys(self) -> tuple[bytes, ...]:
        """Key of each canvas in the cache."""
        return tuple(cache_key(path, self.size) for path in self.paths)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Sample:
        """Read one image through the pixel path of the service."""
        case = self.cases[index]
        return Sample(case, read_canvas(self.paths[index], self.size, case.image, self.header_checked))


def read_canvas(path: Path, size: int, name: str, header_checked: bool = True) -> Floats:
    """Read the canvas `[1, S, S] float32 in [0, 1]` of a PNG, JPEG or DICOM file.

    Parameters
    ----------
    name
        Name of the image for messages.
    header_checked
        Whether the service's checks of the DICOM header apply; pixels are decoded and displayed the same way without.

    Raises
    ------
    TrainingError
        The file cannot be read, or the service would refuse it. The message contains `name` and the service's codes,
        but no value of the DICOM header.
    """
    try:
        if path.suffix.lower() in PICTURES:
            values = grey_values(path)
        else:
            data = path.read_bytes()
            values = radiograph(data).values if header_checked else display_values(data)
    except InputError as error:
        raise TrainingError(f"{name}: {', '.join(error_codes(error))} ({error.message})") from error
    except OSError as error:
        raise TrainingError(f"{name}: {error.strerror}") from error
    return canvas(values, size, RULE)


def cache_key(path: Path, size: int) -> bytes:
    """Hash all that determines a canvas, 16 bytes: path, size and time of the file, canvas size, resize rule.

    The time is needed because uncompressed DICOM files often have equal sizes.
    """
    stat = path.stat()
    text = f"{RULE} {size} {path.absolute()} {stat.st_size} {stat.st_mtime_ns}"
    return hashlib.sha256(text.encode()).digest()[:16]


def error_codes(error: InputError) -> tuple[str, ...]:
    """Return the service's codes for the refusal of a file; for the gate, those of all reasons."""
    return tuple(reason.code for reason in error.reasons) if isinstance(error, UnsuitableImage) else (error.code,)

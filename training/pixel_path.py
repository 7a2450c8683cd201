"""A file to a canvas by the service's own functions: what a network is trained on is what it is served."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from service.dicom.canvas import Rule, canvas, grey_values
from service.dicom.radiograph import InputError, UnsuitableImage, radiograph
from training.errors import TrainingError
from training.sample import Floats

RULE: Rule = "stretch"  # as the publisher of ChestX-ray14 did
PICTURES = (".png", ".jpg", ".jpeg")  # whatever else there is must be DICOM, whose files often have no suffix


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

"""The files that `triage predict` is asked for, and the paths of their pictures."""

from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path

from service.backfill.folder import Folder
from service.errors import ConfigurationError

SUFFIXES = (".dcm", ".dicom", ".ima")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def files(paths: Sequence[Path], pictures: bool = False) -> list[Path]:
    """List the files to predict: every path that is a file, and the DICOM files in every path that is a folder.

    Parameters
    ----------
    pictures
        Whether PNG and JPEG files in folders are listed, too.

    Raises
    ------
    ConfigurationError
        A path does not exist, or there is no such file.
    """
    listed = [file for path in paths for file in _within(path, pictures)]
    if not listed:
        raise ConfigurationError(
            "no DICOM file and no picture found" if pictures else "no DICOM file found; --as-chest finds pictures, too"
        )
    return listed


def overlays(files: Sequence[Path], folder: Path | None) -> Iterator[Path | None]:
    """Return the path of each file's picture; files of the same name in several folders get a number."""
    used: set[str] = set()
    for file in files:
        if folder is None:
            yield None
            continue
        numbered = (f"{file.stem}-{number}" for number in count(2))
        name = next(name for name in chain([file.stem], numbered) if name not in used)
        used.add(name)
        yield folder / f"{name}.png"


def _within(path: Path, pictures: bool) -> Iterator[Path]:
    if not path.exists():
        raise ConfigurationError(f"{path}: no such file or folder")
    if path.is_dir():
        # Links to folders are followed. A folder that cannot be listed is among the names, and is then reported.
        found = sorted(path / name for name in Folder(str(path)).references())
        yield from (file for file in found if file.is_dir() or (file.is_file() and _is_wanted(file, pictures)))
    else:
        yield path


def _is_wanted(file: Path, pictures: bool) -> bool:
    return _looks_like_dicom(file) or (pictures and file.suffix.lower() in PICTURE_SUFFIXES)


def _looks_like_dicom(file: Path) -> bool:
    if file.suffix.lower() in SUFFIXES:
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False

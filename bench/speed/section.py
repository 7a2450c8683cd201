"""What a section is given, and what it must have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.prevalence import ROOT
from bench.speed.figure import Report
from bench.speed.films import Film, films
from bench.speed.kept import Kept, Rows
from bench.speed.size import SYNTAXES, Size

BUILD = ROOT / "build" / "bench"

Results = Mapping[str, Rows]  # the rows of all sections, by its name


@dataclass(frozen=True)
class Run:
    """What a section measures with.

    Attributes
    ----------
    size
        How much to measure.
    kept
        Its rows.
    folder
        An empty folder on the disk of the repository; it is deleted after the section.
    address, pid
        Of a service with its default settings; empty and 0 unless the section asks for one.
    """

    size: Size
    kept: Kept
    folder: Path
    address: str = ""
    pid: int = 0

    def films(self, syntaxes: tuple[str, ...] = SYNTAXES, height: int = 0, width: int = 0) -> list[Film]:
        """Return radiographs of the run's size, or of another; they are made once."""
        return films(BUILD / "films", height or self.size.height, width or self.size.width, syntaxes)


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    name
        Name of its mark on the page and of the file of its rows.
    title
        Its heading.
    measure
        Measures what is not kept.
    report
        Makes its text and figures from the rows of all sections; whatever is missing is left out.
    served
        Whether it measures a running service.
    """

    name: str
    title: str
    measure: Callable[[Run], None]
    report: Callable[[Results], Report]
    served: bool = False

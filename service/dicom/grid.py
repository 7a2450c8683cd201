"""What a measurement needs of a radiograph: the size of its pixel grid and the spacing that the header states."""

from dataclasses import dataclass

from service.dicom.geometry import Pair, geometry
from service.dicom.reader import Bounds, read


@dataclass(frozen=True)
class Grid:
    """The pixel grid of a radiograph.

    Attributes
    ----------
    rows, columns
        Number of pixels.
    aspect, spacing, spacing_from
        See `Geometry`.
    """

    rows: int
    columns: int
    aspect: float
    spacing: Pair | None
    spacing_from: str | None


def grid(data: bytes, bounds: Bounds) -> Grid:
    """Read the pixel grid of a file that the gate has accepted; raises as `read` and `geometry`."""
    dataset = read(data, bounds)
    stated = geometry(dataset)
    return Grid(int(dataset.Rows), int(dataset.Columns), stated.aspect, stated.spacing, stated.spacing_from)

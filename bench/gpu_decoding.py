"""What a decoder process of the bare loop does; the module is imported without torch."""

import numpy as np

from service.dicom.canvas import Rule, canvas
from service.dicom.radiograph import radiograph


def canvas_of(data: bytes, size: int, rule: Rule) -> np.ndarray:
    """Decode a file and reduce it to the canvas `[1, S, S] float32 in [0, 1]`."""
    read = radiograph(data)
    return canvas(read.values, size, rule, read.header.aspect)

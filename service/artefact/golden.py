"""The input of the golden self-test: export stores the outputs for it, and the service compares its own with them."""

import numpy as np

SQUARE = 32  # pixels


def golden_canvas(seed: int, size: int) -> np.ndarray:
    """Draw grey squares of 32 × 32 pixels.

    Parameters
    ----------
    size
        S in pixels, a multiple of 32.

    Returns
    -------
    ndarray
        `[1, 1, S, S] float32 in [0, 1]`.
    """
    squares = np.random.default_rng(seed).random((size // SQUARE, size // SQUARE), dtype=np.float32)
    return np.repeat(np.repeat(squares, SQUARE, 0), SQUARE, 1)[None, None]

import hashlib

import numpy as np

from service.artefact.golden import golden_canvas


def test_the_canvas_is_squares_of_32_pixels() -> None:
    canvas = golden_canvas(7, 128)
    assert canvas.shape == (1, 1, 128, 128)
    assert canvas.dtype == np.float32
    squares = np.random.default_rng(7).random((4, 4), dtype=np.float32)
    assert canvas[0, 0, 33, 70] == squares[1, 2]
    np.testing.assert_array_equal(canvas[0, 0, ::32, ::32], squares)


def test_the_canvas_is_the_same_as_when_artefacts_were_exported() -> None:
    # Existing artefacts contain the outputs for it.
    digest = hashlib.sha256(golden_canvas(7, 896).tobytes()).hexdigest()
    assert digest == "aede1f97fb18203453f14ec3ba46df67a20b2eed95d9dce1346efec128c4b62c"

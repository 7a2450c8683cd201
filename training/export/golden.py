"""The golden self-test: a small input from a seed, and the outputs by which a service proves itself."""

from collections.abc import Callable, Mapping

import numpy as np

FIRST_SEED = 7
SEEDS = 32
SQUARE = 32  # pixels
# The input is shaken by this much, which moves the heat map some thirty times as far as another processor does. An
# answer that jumps then proves nothing; it may, as the squares have sharp edges and the crop follows the map.
SHAKE = 1e-5
MOST_CHANGE = 5e-4  # in probability and heat map
MOST_BOX_CHANGE = 0.5  # canvas pixels

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def golden(run: Run, size: int) -> dict[str, object]:
    """Find a seed whose outputs are steady, and give both as the card wants them.

    Parameters
    ----------
    run
        From `[1, 1, S, S]` to outputs by name, batch first.
    size
        S, a multiple of 32.

    Raises
    ------
    ValueError
        No seed gives steady outputs.
    """
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        canvas = golden_canvas(seed, size)
        outputs = run(canvas)
        if _steady(outputs, run(_shaken(canvas, seed)), size):
            names = ("fusion", "global", "local", "heat_map", "box")
            return {"seed": seed} | {name: _plain(outputs[name][0]) for name in names}
    raise ValueError(f"none of {SEEDS} golden inputs gives outputs that a change of {SHAKE} leaves as they are")


def golden_canvas(seed: int, size: int) -> np.ndarray:
    """[1, 1, S, S] float32 in [0, 1]: grey squares of 32 pixels, the same as in the service's `artefact`."""
    squares = np.random.default_rng(seed).random((size // SQUARE, size // SQUARE), dtype=np.float32)
    return np.repeat(np.repeat(squares, SQUARE, 0), SQUARE, 1)[None, None]


def _shaken(canvas: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(-SHAKE, SHAKE, canvas.shape).astype(np.float32)
    return np.clip(canvas + noise, 0, 1)


def _steady(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], size: int) -> bool:
    change = {name: float(np.abs(before[name] - after[name]).max()) for name in before}
    small = all(change[name] <= MOST_CHANGE for name in ("fusion", "global", "local", "heat_map"))
    return small and change["box"] * size <= MOST_BOX_CHANGE


def _plain(values: np.ndarray) -> object:
    return np.round(values.astype(np.float64), 7).tolist()

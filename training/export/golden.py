"""The golden self-test: an input drawn from a seed, and the outputs that a service must reproduce for it."""

from collections.abc import Callable, Mapping

import numpy as np

from service.artefact.golden import golden_canvas
from service.artefact.quantisation import MAX_BOX, MAX_HEAT_MAP, MAX_PROBABILITY

FIRST_SEED = 7
SEEDS = 32
# Noise of this amplitude moves the heat map about thirty times as far as another processor does. Squares have sharp
# edges and the crop follows the map, so for some inputs the outputs jump; a comparison with those would prove nothing.
NOISE = 1e-5
MAX_CHANGE = 5e-4  # in probability and heat map
MAX_BOX_CHANGE = 0.5  # canvas pixels
# A quantised network has steps everywhere, so noise is three times as far as another processor, and inputs are many.
QUANTISED_NOISE = 1e-6
QUANTISED_SEEDS = 128
DRAWS = 4
LEAST = {"probability": 1e-3, "heat_map": 1e-3, "box": 1.0}  # tolerance in float, see service.inference.session
NAMES = (
    "fusion",
    "global",
    "local",
    "heat_map",
    "box",
)  # outputs in the golden entry; there is no `local` without a second look

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def choose_golden(run: Run, size: int) -> dict[str, object]:
    """Choose the first seed whose outputs are stable, and return the card's entry `golden`: the seed and the outputs.

    Parameters
    ----------
    run
        Function from `[1, 1, S, S] float32` to outputs by name, batch first.
    size
        S in pixels, a multiple of 32.

    Raises
    ------
    ValueError
        No seed gives stable outputs.
    """
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        canvas = golden_canvas(seed, size)
        outputs = run(canvas)
        if _stable(outputs, run(_with_noise(canvas, seed)), size):
            return _entry(seed, outputs)
    raise ValueError(f"none of {SEEDS} golden inputs has outputs that stay the same under noise of {NOISE}")


def choose_quantised_golden(run: Run, size: int) -> tuple[dict[str, object], dict[str, float]]:
    """Choose the seed whose outputs move least, and return the card's entries `golden` and `tolerance` for it.

    A rounding that turns out otherwise moves the outputs of a quantised network by steps, which are large on flat
    squares. For some inputs no value is near the edge between two integers.

    Parameters
    ----------
    run, size
        As for `choose_golden`.

    Raises
    ------
    ValueError
        The outputs of all seeds move too far.
    """
    tolerances: dict[int, dict[str, float]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + QUANTISED_SEEDS):
        tolerances[seed] = _tolerance(run, golden_canvas(seed, size), size)
        if tolerances[seed] == LEAST:
            break

    def share(seed: int) -> float:
        """Return the largest share of what is allowed."""
        tolerance = tolerances[seed]
        limits = {"probability": MAX_PROBABILITY, "heat_map": MAX_HEAT_MAP, "box": MAX_BOX * size}
        return max(tolerance[kind] / limit for kind, limit in limits.items())

    seed = min(tolerances, key=share)
    if share(seed) > 1:
        raise ValueError(f"rounding moves the outputs of {QUANTISED_SEEDS} golden inputs too far for a self-test")
    return _entry(seed, run(golden_canvas(seed, size))), tolerances[seed]


def _tolerance(run: Run, canvas: np.ndarray, size: int) -> dict[str, float]:
    """Return twice the largest move under noise, but at least the tolerance of a network in float."""
    before, largest = run(canvas), dict.fromkeys(LEAST, 0.0)
    for draw in range(DRAWS):
        after = run(_with_noise(canvas, draw, QUANTISED_NOISE))
        for name in (name for name in NAMES if name in before):
            kind, scale = (name, size) if name == "box" else (name if name == "heat_map" else "probability", 1)
            largest[kind] = max(largest[kind], scale * float(np.abs(before[name] - after[name]).max()))
    return {kind: max(LEAST[kind], 2 * move) for kind, move in largest.items()}


def _entry(seed: int, outputs: Mapping[str, np.ndarray]) -> dict[str, object]:
    return {"seed": seed} | {name: _plain(outputs[name][0]) for name in NAMES if name in outputs}


def _with_noise(canvas: np.ndarray, seed: int, amplitude: float = NOISE) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(-amplitude, amplitude, canvas.shape).astype(np.float32)
    return np.clip(canvas + noise, 0, 1)


def _stable(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], size: int) -> bool:
    change = {name: float(np.abs(before[name] - after[name]).max()) for name in before}
    small = all(change[name] <= MAX_CHANGE for name in NAMES if name in change and name != "box")
    return small and change["box"] * size <= MAX_BOX_CHANGE


def _plain(values: np.ndarray) -> object:
    return np.round(values.astype(np.float64), 7).tolist()

"""The solids of a chest: body, lungs, heart, great vessels, diaphragm; sizes in mm for an adult at full inspiration.

Pairs are (right, left). The origin lies between the lungs a little below the carina.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.phantom.solid import Ellipsoid, Vector

# Linear attenuation at about 70 keV effective, 1/mm.
SOFT = 0.0190
LUNG = 0.0041
CORTEX = 0.0480
MARROW = 0.0275

SIDES = (-1, 1)
BASE = 150.0  # z of a lung's lowest part
Sex = Literal["F", "M"]


@dataclass(frozen=True)
class Patient:
    """The anatomy that all images of a patient share.

    Attributes
    ----------
    scale
        Size relative to the standard chest, per axis.
    fat
        Thickness of soft tissue beyond a lean wall, in mm.
    seed
        Seed of everything else about the patient.
    """

    number: int
    sex: Sex
    age: int
    scale: Vector
    fat: float
    seed: int


@dataclass(frozen=True)
class Chest:
    """The solids of a chest and the state of the lungs.

    Attributes
    ----------
    room
        Solids whose intersection bounds the lungs.
    lung
        Attenuation of each lung in 1/mm.
    vascularity
        Factor of the mass of the vessels.
    collapse
        Factor by which each lung has shrunk towards its hilum; 1 is expanded.
    floor
        Height (z in mm) of the lowest vessels of each lung.
    """

    body: tuple[Ellipsoid, ...]
    breasts: tuple[Ellipsoid, ...]
    room: tuple[Ellipsoid, ...]
    lungs: tuple[Ellipsoid, Ellipsoid]
    domes: tuple[Ellipsoid, Ellipsoid]
    heart: tuple[Ellipsoid, ...]
    mediastinum: tuple[Ellipsoid, ...]
    column: tuple[Ellipsoid, ...]
    gas: tuple[Ellipsoid, ...]
    hila: tuple[Vector, Vector]
    lung: tuple[float, float] = (LUNG, LUNG)
    vascularity: float = 1.0
    collapse: tuple[float, float] = (1.0, 1.0)
    floor: tuple[float, float] = (BASE, BASE)

    @property
    def cardiothoracic_ratio(self) -> float:
        """Width of the heart over the inner width of the chest, without magnification."""
        left = max(_reach(part, 1) for part in self.heart)
        right = min(_reach(part, -1) for part in self.heart)
        return (left - right) / (2 * self.room[0].axes[0])


def _reach(solid: Ellipsoid, side: int) -> float:
    a, _, c = solid.axes
    return solid.centre[0] + side * math.hypot(a * math.cos(solid.roll), c * math.sin(solid.roll))


def patient(number: int, rng: np.random.Generator) -> Patient:
    """Draw an adult."""
    sex: Sex = "F" if rng.random() < 0.45 else "M"
    size = rng.normal(0.94 if sex == "F" else 1.02, 0.03)
    wide, tall = rng.normal(1.0, 0.035, 2)
    age = int(np.clip(rng.normal(50, 17), 18, 92))
    fat = float(np.clip(rng.gamma(2.0, 7.0), 2, 45))
    return Patient(number, sex, age, (size * wide, size, size * tall), fat, int(rng.integers(2**31)))


def chest(who: Patient, breath: float, rng: np.random.Generator) -> Chest:
    """Build the solids of a patient; `breath` in [0, 1], where 1 is full inspiration."""
    rise = 30 * (1 - breath)
    heart = rng.normal(0.98, 0.05) + 0.03 * (1 - breath)
    return Chest(
        body=_body(who),
        breasts=_breasts(who),
        room=(Ellipsoid((0, 0, 130), (142, 96, 278)), Ellipsoid((0, 0, -424), (600, 600, 600))),
        lungs=(_lung(-1), _lung(1)),
        domes=(_dome(-1, 104 - rise, rng), _dome(1, 117 - rise, rng)),
        heart=_heart(heart, -0.35 * rise),
        mediastinum=_mediastinum(1 + 0.006 * (who.age - 45)),
        column=_column(1 + 0.006 * (who.age - 45), rng),
        gas=_gas(rise, rng),
        hila=((-36, 6, 6), (36, 8, -5)),
        floor=(BASE - rise, BASE - rise),
    )


def _body(who: Patient) -> tuple[Ellipsoid, ...]:
    fat = who.fat
    parts = [
        Ellipsoid((0, 0, 190), (170 + 0.8 * fat, 112 + fat, 350)),
        Ellipsoid((0, 8, 0), (52 + 0.3 * fat, 56, math.inf)),  # neck, and inside the trunk below
        Ellipsoid((0, 22, -88), (176, 54 + 0.4 * fat, 62)),  # trapezius
    ]
    for side in SIDES:
        parts.append(Ellipsoid((side * 168, 12, -78), (54, 66 + 0.4 * fat, 58)))
        parts.append(Ellipsoid((side * (128 + 0.4 * fat), 10, -25), (46, 66 + 0.4 * fat, 88), roll=-side * 0.15))
        parts.append(Ellipsoid((side * (198 + 0.4 * fat), 10, 50), (42 + 0.4 * fat, 46, 190), roll=side * 0.13))
    return tuple(parts)


def _breasts(who: Patient) -> tuple[Ellipsoid, ...]:
    if who.sex == "M":
        return ()
    size = 0.85 + 0.012 * who.fat
    return tuple(Ellipsoid((s * 80, -110, 84), (66 * size, 34 * size, 70 * size), -s * 0.3) for s in SIDES)


def _lung(side: int) -> Ellipsoid:
    return Ellipsoid((side * 74, 4, 125), (69, 92, 232), roll=side * 0.065)


def _dome(side: int, top: float, rng: np.random.Generator) -> Ellipsoid:
    height = 86 * rng.normal(1, 0.06)
    return Ellipsoid((side * (72 + rng.normal(0, 3)), -8, top + height), (85, 100, height), pitch=-0.08)


def _heart(factor: float, rise: float) -> tuple[Ellipsoid, ...]:
    ventricle = Ellipsoid((27, -28, 78 + rise), (63 * factor, 66 * factor, 45 * factor), roll=-0.72)
    atrium = Ellipsoid((-10, -20, 70 + rise), (33 * factor, 60 * factor, 48 * factor), roll=0.12)
    appendage = Ellipsoid((18, -12, 34 + rise), (32 * factor, 44, 40), roll=-0.3)
    return ventricle, atrium, appendage


def _mediastinum(aorta: float) -> tuple[Ellipsoid, ...]:
    return (
        Ellipsoid((2, 4, -75), (23, 48, 105)),  # superior mediastinum
        Ellipsoid((-17, -6, -20), (13, 22, 70), roll=-0.05),  # superior vena cava
        Ellipsoid((-12, -24, 2), (19 * aorta, 28, 55)),  # ascending aorta
        Ellipsoid((17, 10, -38), (17 * aorta, 26, 24 * aorta)),  # knob
        Ellipsoid((16, -14, 2), (22, 28, 34)),  # pulmonary trunk
        Ellipsoid((4, 0, 88), (44, 62, 76)),  # left atrium, oesophagus
        Ellipsoid((4, -14, 196), (66, 92, 78)),  # central tendon
    )


def _column(aorta: float, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    lean = rng.normal(-0.02, 0.02)
    return (
        Ellipsoid((0, 70, 0), (21, 26, math.inf)),
        Ellipsoid((17, 48, 70), (14 * aorta, 18, 160), roll=lean),  # descending aorta
    )


def _gas(rise: float, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    """Stomach bubble and colon under the left dome, in most people."""
    bubbles = [Ellipsoid((62 + rng.normal(0, 8), 20, 152 - rise), (rng.uniform(16, 34), 15, rng.uniform(7, 13)))]
    for _ in range(rng.integers(0, 3)):
        at = (rng.uniform(45, 120), rng.uniform(-40, 10), rng.uniform(175, 225) - rise)
        bubbles.append(Ellipsoid(at, (rng.uniform(7, 16), 9, rng.uniform(7, 14)), roll=rng.uniform(-1, 1)))
    return tuple(bubbles)

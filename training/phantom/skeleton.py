"""Bones as hollow tubes and sheets: twelve pairs of ribs, spine, clavicles, scapulae, humeri, sternum."""

from functools import lru_cache

import numpy as np

from training.phantom.anatomy import CORTEX, MARROW, SIDES, SOFT
from training.phantom.solid import Points
from training.phantom.strand import Strands, curve, gather, tube

STEP = 1.1
CAGE = (147.0, 101.0, 262.0, 130.0)  # half-axes x, y, z and the height of the widest place
VERTEBRAE = np.cumsum([-137, 19, 19, 19, 19.5, 20, 20.5, 21, 21.5, 22, 23, 24, 25, 26, 28])  # C7 to L2
RIB_END = np.radians([156, 160, 158, 154, 150, 146, 142, 134, 126, 116, 80, 52])
RIB_DROP = (52, 70, 84, 92, 98, 102, 104, 102, 98, 92, 80, 66)  # mm from the spine to where a full turn would end


@lru_cache(maxsize=2)
def skeleton(seed: int) -> Strands:
    """Draw all bones of one patient; bone density varies between patients."""
    rng = np.random.default_rng(seed)
    parts = [_vertebra(z, level) for level, z in enumerate(VERTEBRAE)]
    for side in SIDES:
        parts += [_rib(i, side, rng) for i in range(12)]
        parts += [*_shoulder(side, rng), _clavicle(side, rng)]
    whole = gather([*parts, _sternum()])
    return whole._replace(mass=whole.mass * rng.uniform(0.7, 1.1))


def bone(line: Points, outward: Points, half: tuple[float, float], cortex: float = 0.9) -> Strands:
    """Draw a hollow bone of elliptical section along a line.

    Parameters
    ----------
    line
        `[N, 3]` points in mm.
    outward
        `[N, 3]` direction of the section's first axis.
    half
        Half-axes of the section in mm, along `outward` and across.
    cortex
        Thickness of the wall in mm.
    """
    along = np.gradient(line, axis=0)
    step = np.linalg.norm(along, axis=1)
    across = np.cross(along, outward)
    across /= np.linalg.norm(across, axis=1)[:, None]
    outward = np.cross(across, along) / step[:, None]
    return gather([_wall(line, (outward, across), half, cortex), *_marrow(line, across, half, step)])


def _wall(line: Points, axes: tuple[Points, Points], half: tuple[float, float], cortex: float) -> Strands:
    count = max(12, int(2 * np.pi * np.hypot(*half) / np.sqrt(2) / 1.1))
    angle = np.arange(count) * 2 * np.pi / count
    a, b = half[0] * np.cos(angle), half[1] * np.sin(angle)
    arc = np.hypot(half[0] * np.sin(angle), half[1] * np.cos(angle)) * 2 * np.pi / count
    points = line[:, None] + a[:, None] * axes[0][:, None] + b[:, None] * axes[1][:, None]  # [N, count, 3]
    step = np.linalg.norm(np.gradient(line, axis=0), axis=1)
    mass = np.outer(step, arc) * cortex * (CORTEX - SOFT)
    return Strands(points.reshape(-1, 3), np.full(mass.size, 1.1), mass.ravel())


def _marrow(line: Points, across: Points, half: tuple[float, float], step: Points) -> list[Strands]:
    share = np.pi * half[0] * half[1] / 3 * (MARROW - SOFT) * step
    width = np.full(len(line), min(half))
    return [Strands(line + across * offset * half[1], width, share) for offset in (-0.55, 0.0, 0.55)]


def _rib(index: int, side: int, rng: np.random.Generator) -> Strands:
    turn = np.linspace(np.radians(9), RIB_END[index], int(60 + 150 * np.sin(RIB_END[index] / 2)))
    top = VERTEBRAE[index + 1] - 4 + rng.normal(0, 1.2)
    z = top - 7 * np.sin(np.minimum(turn * 2.4, np.pi)) + (RIB_DROP[index] + rng.normal(0, 3)) * (turn / np.pi) ** 1.6
    wide = np.sqrt(np.maximum(0.1, 1 - (np.maximum(CAGE[3] - z, 0) / CAGE[2]) ** 2))
    line = np.stack([side * CAGE[0] * wide * np.sin(turn), CAGE[1] * wide * np.cos(turn), z], 1)
    outward = np.stack([side * np.sin(turn), np.cos(turn), np.full_like(turn, -0.15)], 1)
    section = (6.0, 3.2) if index == 0 else (3.2, 7.2 - 0.2 * abs(index - 5))
    return bone(line, outward, section, 1.15)


def _vertebra(z: float, level: int) -> Strands:
    wide, deep, half = 12.5 + 0.5 * level, 13 + 0.4 * level, 7.6 + 0.25 * level
    y = 56 + 12 * np.sin((z + 140) / 300 * np.pi)
    centre = np.array([0.0, y, z])
    slope = 0.2 * np.cos((z + 140) / 300 * np.pi)
    body = gather([_plate(np.array([0, 0, s * half]), wide, deep) for s in (-1, 1)] + [_ring(wide, deep, half)])
    body.points[:, 2] -= slope * body.points[:, 1]
    parts = [body._replace(points=body.points + centre)]
    for side in SIDES:
        circle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        pedicle = centre + np.stack([side * 13.5 + 3.6 * np.cos(circle), 18 + 0 * circle, -2 + 5 * np.sin(circle)], 1)
        parts.append(tube(pedicle, 1.1, CORTEX - SOFT))
        process = centre + np.array([[side * 12, 20, -2], [side * 24, 27, -4], [side * (33 - level), 30, -5]])
        line = curve(process, STEP)
        parts.append(bone(line, np.tile([0.0, 0.3, 1.0], (len(line), 1)), (3.8, 3.2), 0.8))
    spinous = curve(centre + np.array([[0, 28, 4], [0, 40, 12], [0, 48, 20.0]]), STEP)
    parts.append(bone(spinous, np.tile([1.0, 0, 0], (len(spinous), 1)), (2.2, 5.0), 0.45))
    return gather(parts)


def _plate(centre: Points, wide: float, deep: float) -> Strands:
    """Draw an end plate: a disc 1 mm thick."""
    n = 220
    i = np.arange(n) + 0.5
    radius, angle = np.sqrt(i / n), i * np.pi * (3 - np.sqrt(5))  # sunflower: even in area
    points = centre + np.stack([wide * radius * np.cos(angle), deep * radius * np.sin(angle), 0 * i], 1)
    return Strands(points, np.full(n, 1.0), np.full(n, np.pi * wide * deep / n * (CORTEX - SOFT) * 0.6))


def _ring(wide: float, deep: float, half: float) -> Strands:
    """Draw the concave side wall, 0.7 mm thick, and the spongy inside of a vertebral body."""
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, 40, endpoint=False), np.linspace(-1, 1, 14))
    waist = 1 - 0.12 * (1 - height**2)
    unit = np.stack([wide * waist * np.cos(angle), deep * waist * np.sin(angle), half * height], -1).reshape(-1, 3)
    area = 2 * np.pi * np.sqrt(wide * deep) * 2 * half / len(unit)
    wall = Strands(unit, np.full(len(unit), 0.9), np.full(len(unit), area * 0.7 * (CORTEX - SOFT)))
    core = np.concatenate([unit * [f, f, 0.85] for f in (0.25, 0.5, 0.75)])
    volume = np.pi * wide * deep * 2 * half / len(core) * np.repeat([0.5, 1.0, 1.5], len(unit))
    return gather([wall, Strands(core, np.full(len(core), 3.0), volume * 0.5 * (MARROW - SOFT))])


def _clavicle(side: int, rng: np.random.Generator) -> Strands:
    lift = rng.normal(0, 5)
    knots = np.array([[17, -64, -72], [48, -74, -80], [92, -46, -93], [130, -6, -104], [162, 12, -106.0]])
    knots[:, 2] += np.linspace(0, 1, 5) * lift
    line = curve(knots * [side, 1, 1], STEP)
    return bone(line, np.tile([0.0, 1.0, 0.0], (len(line), 1)), (5.4, 6.2), 1.6)


def _shoulder(side: int, rng: np.random.Generator) -> list[Strands]:
    out = np.array([rng.normal(0, 5), 0, rng.normal(0, 3)])
    corner = np.array(
        [[100, 78, -92], [134, 80, 48], [152, 30, -78], [176, 26, -108], [104, 88, -70], [132, -12, -78.0]]
    )
    upper, lower, glenoid, acromion, root, coracoid = (corner + out) * [side, 1, 1]
    head = np.array([180 * side, 14, -76]) + out * [side, 1, 1]
    spans = [
        (glenoid, lower, 3.6),
        (upper, lower, 1.8),
        (root, acromion, 4.5),
        (glenoid, coracoid, 5.0),
        (upper, glenoid, 1.5),
    ]
    parts = [_rod(a, b, r) for a, b, r in spans]
    parts.append(_rod(head, head + np.array([34 * side, -6, 230.0]), 12.0, 1.5))
    return [*parts, _blade(upper, lower, glenoid), _shell(head, 23.0)]


def _rod(start: Points, end: Points, radius: float, cortex: float = 1.1) -> Strands:
    bow = (start + end) / 2 + np.array([0, 3.0, 2.0])
    line = curve(np.stack([start, bow, end]), STEP)
    return bone(line, np.tile([0.05, 1.0, 0.1], (len(line), 1)), (radius, radius), cortex)


def _blade(a: Points, b: Points, c: Points) -> Strands:
    """Draw a sheet 1.6 mm thick between three corners."""
    u, v = np.meshgrid(np.linspace(0, 1, 70), np.linspace(0, 1, 70))
    inside = u + v <= 1
    u, v = u[inside][:, None], v[inside][:, None]
    points = a + u * (b - a) + v * (c - a)
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a)) / len(points)
    return Strands(points, np.full(len(points), 1.8), np.full(len(points), area * 1.6 * (CORTEX - SOFT) * 0.7))


def _shell(centre: Points, radius: float) -> Strands:
    """Draw a thin-walled ball with a spongy inside: the head of the humerus."""
    n = 2600
    i = np.arange(n) + 0.5
    z, angle = 1 - 2 * i / n, i * np.pi * (3 - np.sqrt(5))
    unit = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], 1)
    area = 4 * np.pi * radius**2 / n
    wall = Strands(centre + radius * unit, np.full(n, 1.0), np.full(n, area * 0.8 * (CORTEX - SOFT)))
    inner = np.concatenate([unit[::2] * f for f in (0.3, 0.6, 0.85)])
    share = np.repeat([0.07, 0.31, 0.62], n // 2) / (n // 2) * 4 / 3 * np.pi * radius**3 * (MARROW - SOFT)
    return gather([wall, Strands(centre + radius * inner, np.full(len(inner), 3.0), share)])


def _sternum() -> Strands:
    u, v = np.meshgrid(np.linspace(-1, 1, 24), np.linspace(0, 1, 70))
    half = np.where(v < 0.28, 30 - 45 * v, 17 + 4 * v)
    points = np.stack([u * half, -88 - 14 * v + 0 * u, -78 + 165 * v], -1).reshape(-1, 3)
    return Strands(
        points, np.full(len(points), 3.0), np.full(len(points), 36 * 165 * 7 / len(points) * (MARROW - SOFT))
    )

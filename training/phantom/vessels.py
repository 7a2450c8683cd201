"""Pulmonary vessels and airways: trees that fill a lung, halving a cloud of targets at each branching."""

from collections.abc import Iterable

import numpy as np

from training.phantom.anatomy import LUNG, SIDES, SOFT, Chest
from training.phantom.solid import Ellipsoid, Points
from training.phantom.strand import Strands, curve, gather, tube

LEVELS = 10
TRUNK = 5.2  # mm
THINNING = 0.775  # per branching; Murray's law for equal halves would be 0.79


def vessels(chest: Chest, side: int, rng: np.random.Generator) -> Strands:
    """Draw arteries and veins of one expanded lung (side 0 right, 1 left)."""
    hilum = np.array(chest.hila[side])
    low = hilum + np.array([0, -14, 14])
    trees = [_tree(_targets(chest, side, rng), root, rng) for root in (hilum, low)]
    return gather(trees)


def _targets(chest: Chest, side: int, rng: np.random.Generator) -> Points:
    """Draw points `[2 ** LEVELS, 3]` evenly in the part of a lung that contains air."""
    lung, count = chest.lungs[side], 2**LEVELS
    unit = rng.normal(size=(5 * count, 3))
    unit *= (rng.random(5 * count) ** (1 / 3) / np.linalg.norm(unit, axis=1))[:, None]
    points = unit @ np.linalg.inv(lung.matrix().astype(np.float64)).T + lung.centre
    free = np.all([part.depth(points) < 0.98 for part in chest.room], axis=0)
    for solid in (chest.domes[side], *chest.heart):
        free &= solid.depth(points) > 1
    return np.asarray(points[free][np.arange(count) % free.sum()])


def _tree(targets: Points, root: Points, rng: np.random.Generator) -> Strands:
    start, groups, parts = root[None], targets[None], []
    heading = np.array([[np.sign(root[0]) * 6.0, 2.0, 0.0]])
    for level in range(LEVELS):
        groups = _halves(groups)
        start, heading = np.repeat(start, 2, 0), np.repeat(heading, 2, 0)
        reach = 0.30 + 0.45 * level / LEVELS
        end = start + reach * (groups.mean(1) - start) + rng.normal(0, 1.5, start.shape)
        radius = TRUNK * THINNING**level * np.exp(rng.normal(0, 0.14, len(start)))
        parts.append(_branches((start, heading, end), radius))
        start, heading = end, (end - start) * 0.5
    return gather(parts)


def _halves(groups: Points) -> Points:
    """Cut each group of points `[g, n, 3]` across its longest axis: `[2 g, n / 2, 3]`."""
    axis = np.argmax(np.ptp(groups, axis=1), axis=1)
    key = np.take_along_axis(groups, axis[:, None, None], 2)[..., 0]
    order = np.argsort(key, axis=1)
    ordered = np.take_along_axis(groups, order[..., None], 1)
    return ordered.reshape(2 * len(groups), -1, 3)


def _branches(spans: tuple[Points, Points, Points], radius: Points) -> Strands:
    start, heading, end = spans
    reach = np.linalg.norm(end - start, axis=1)
    count = int(np.clip(reach.mean() / max(0.6 * radius.mean(), 0.65), 6, 60))
    t = np.linspace(0, 1, count, endpoint=False)[None, :, None]
    bend = start + heading * 0.6
    points = (1 - t) ** 2 * start[:, None] + 2 * t * (1 - t) * bend[:, None] + t**2 * end[:, None]  # [n, count, 3]
    wide = radius[:, None] * (1 - 0.22 * t[..., 0])
    mass = np.pi * wide**2 * (reach / count)[:, None] * (SOFT - LUNG)
    return Strands(points.reshape(-1, 3), wide.ravel(), mass.ravel())


def fade(strands: Strands, filled: Iterable[tuple[Ellipsoid, float]]) -> Strands:
    """Reduce the contrast of vessels in solids that have lost a share of their air."""
    mass = strands.mass
    for solid, share in filled:
        mass = np.where(solid.depth(strands.points) < 1, mass * (1 - share), mass)
    return strands._replace(mass=mass)


def airways(chest: Chest) -> Strands:
    """Draw trachea and main bronchi: air in the mediastinum."""
    carina = np.array([2.0, 12.0, -18.0])
    lines = [(np.array([[0, -4, -190], [0, 2, -110], [1, 8, -60], carina]), 8.5)]
    for side in range(2):
        hilum = np.array(chest.hila[side]) + np.array([SIDES[side] * -2, 2, 4])
        lines.append((np.stack([carina, (carina + hilum) / 2 + [0, 0, -2.0], hilum]), 6.4))
    return gather([tube(curve(knots, 1.5), radius, -SOFT) for knots, radius in lines])

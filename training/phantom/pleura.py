"""Findings between lung and chest wall: air, fluid and scars."""

import math
from dataclasses import replace

import numpy as np

from training.phantom.anatomy import BASE, LUNG, SIDES, SOFT, Chest
from training.phantom.onset import Onset
from training.phantom.opacities import FILLED
from training.phantom.scene import Lesion, Scene
from training.phantom.solid import Ellipsoid, Interval
from training.phantom.strand import Strands


def collapsed(chest: Chest, side: int) -> Ellipsoid:
    """Return the collapsed lung of one side: contracted about its hilum and displaced downwards."""
    factor = chest.collapse[side]
    lung = chest.lungs[side].about(chest.hila[side], factor)
    return lung.moved(*_sinking(factor, side))


def follow(strands: Strands, chest: Chest, side: int) -> Strands:
    """Move the vessels of a lung with it: towards the hilum for a collapsed lung, upwards for fluid below it."""
    factor = chest.collapse[side]
    hilum = np.array(chest.hila[side])
    points = hilum + (strands.points - hilum) * factor + _sinking(factor, side)
    lift = (chest.floor[side] - hilum[2]) / (BASE - hilum[2])
    points[:, 2] = np.where(points[:, 2] > hilum[2], hilum[2] + (points[:, 2] - hilum[2]) * lift, points[:, 2])
    return Strands(points, strands.radius * factor**0.5, strands.mass * factor * chest.vascularity)


def _sinking(factor: float, side: int) -> tuple[float, float, float]:
    return SIDES[side] * -20 * (1 - factor), 8 * (1 - factor), 95 * (1 - factor)


def pneumothorax(scene: Scene, onset: Onset) -> Lesion:
    """Air between chest wall and a collapsed lung, whose pleura is a fine line."""
    lung = collapsed(scene.chest, onset.side)
    whole, expanded = scene.aerated[onset.side], scene.chest.lung[onset.side]
    inner = scene.within(onset.side, lung)
    out = (inner - whole) * np.float32(expanded)
    pleura = inner - scene.within(onset.side, lung.scaled(1 - 1.0 / 69))  # 1 mm at the sides
    denser = inner * np.float32(LUNG * (scene.chest.collapse[onset.side] ** -1.5 - 1))
    return Lesion(out + denser + pleura * np.float32(FILLED), (), (scene.box(out),))


def effusion(scene: Scene, onset: Onset) -> Lesion:
    """Fluid below and beside a floating lung, with a meniscus as its upper edge."""
    side = onset.side
    level = _level(onset)
    floating = Ellipsoid((SIDES[side] * 70, 0, level - 66), (67, 90, 66))
    dry = scene.inside(side, _bullet(scene, floating))
    fluid = scene.aerated[side] - dry
    shade = fluid * np.float32(SOFT - scene.chest.lung[side])
    return Lesion(shade, (), (scene.box(shade),))


def _level(onset: Onset) -> float:
    """Return the height (z in mm) of the fluid at the middle of the lung."""
    return 138 - 100 * onset.grade


def floated(chest: Chest, onset: Onset) -> Chest:
    """Lift one lung by the fluid below it."""
    levels = list(chest.floor)
    levels[onset.side] = min(levels[onset.side], _level(onset) + 8)
    return replace(chest, floor=(levels[0], levels[1]))


def _bullet(scene: Scene, solid: Ellipsoid) -> Interval:
    """Return the lower half of a solid, continued upwards as a cylinder."""
    a, b, _ = solid.axes
    column = Ellipsoid(solid.centre, (a, b, math.inf)).interval(scene.rays)
    lower = solid.interval(scene.rays)
    above = scene.rays.origin[2] < solid.centre[2]
    return Interval(np.where(above, column.near, lower.near), np.where(above, column.far, lower.far))


def pleural_thickening(scene: Scene, onset: Onset) -> Lesion:
    """A band along the lateral wall, or a cap on the apex."""
    rng = onset.rng()
    side = SIDES[onset.side]
    if rng.random() < 0.3:
        where = Ellipsoid((side * 55, 0, -104), (44, 80, 34))
    else:
        where = Ellipsoid((side * 142, 0, rng.uniform(20, 105)), (38, 75, rng.uniform(38, 75)))
    region = where.interval(scene.rays)
    thickness = 4 + 6 * onset.grade
    shrunk = scene.chest.lungs[onset.side].scaled(1 - thickness / 69).moved(x=-side * 2)
    rind = scene.inside(onset.side, region) - scene.inside(onset.side, region, shrunk.interval(scene.rays))
    shade = rind * np.float32(FILLED)
    return Lesion(shade, (), (scene.box(shade),))


def detached(chest: Chest, onset: Onset) -> Chest:
    """Detach one lung from the chest wall."""
    factors = [1.0, 1.0]
    factors[onset.side] = 0.93 - 0.28 * onset.grade
    return replace(chest, collapse=(factors[0], factors[1]))

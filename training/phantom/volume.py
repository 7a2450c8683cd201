"""Findings that change the shape of a chest: loss or excess of volume, large heart, stomach above the diaphragm."""

from dataclasses import replace

import numpy as np

from training.phantom.anatomy import LUNG, SIDES, SOFT, Chest
from training.phantom.onset import Onset
from training.phantom.opacities import FILLED
from training.phantom.scene import Box, Lesion, Scene
from training.phantom.solid import Ellipsoid, Plane, length


def atelectasis(scene: Scene, onset: Onset) -> Lesion:
    """Plates of airless lung seen edge-on, or a collapsed lower lobe behind the heart."""
    rng = onset.rng()
    side = SIDES[onset.side]
    if lobar(onset):
        lobe = Ellipsoid((side * 40, 36, 82), (33, 42, 66), roll=side * 0.3)
        shade = scene.within(onset.side, lobe) * np.float32(0.75 * FILLED)
        return Lesion(shade, (), (_joined(scene.box(shade), _rise(scene, onset.side)),))
    shade = np.zeros_like(scene.aerated[0])
    for _ in range(rng.integers(1, 4)):
        at = (side * rng.uniform(62, 100), rng.uniform(-30, 30), rng.uniform(36, 88))
        axes = (rng.uniform(22, 42), rng.uniform(18, 34), rng.uniform(1.6, 3.2))
        plate = Ellipsoid(at, axes, roll=side * rng.normal(0.1, 0.22))
        shade += scene.within(onset.side, plate) * np.float32(0.7 * FILLED)
    return Lesion(shade, (), (scene.box(shade),))


def lobar(onset: Onset) -> bool:
    """Return whether atelectasis affects a lobe, and so reduces volume, instead of plates."""
    return onset.grade > 0.6


def _rise(scene: Scene, side: int) -> Box:
    """Return the box of the top of a diaphragm."""
    x, y, z = scene.chest.domes[side].centre
    top = z - scene.chest.domes[side].axes[2]
    corners = np.array([[x - 62, y, top - 2], [x + 62, y, top + 34]])
    return scene.box_of_points(corners)


def _joined(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def cardiomegaly(scene: Scene, _onset: Onset) -> Lesion:
    """An enlarged heart, which `enlarged_heart` has drawn already; only its box is added."""
    silhouette = sum(length(part.interval(scene.rays)) for part in scene.chest.heart)
    return Lesion(_nothing(scene), (), (scene.box(np.asarray(silhouette)),))


def emphysema(scene: Scene, onset: Onset) -> Lesion:
    """Bullae in lungs that `overinflated` has made larger and darker already."""
    rng = onset.rng()
    shade = _nothing(scene)
    for _ in range(int(rng.integers(1, 5))):
        side = int(rng.integers(2))
        at = (SIDES[side] * rng.uniform(55, 92), rng.uniform(-30, 40), rng.uniform(-70, 10))
        bulla = Ellipsoid(at, (r := rng.uniform(10, 24), r, r * rng.uniform(0.8, 1.2)))
        hollow = scene.within(side, bulla)
        wall = hollow - scene.within(side, bulla.scaled(1 - 0.8 / r))
        shade += wall * np.float32(FILLED) - hollow * np.float32(scene.chest.lung[side])
    return Lesion(shade, (), (scene.box(scene.aerated[0]), scene.box(scene.aerated[1])))


def hernia(scene: Scene, onset: Onset) -> Lesion:
    """Stomach behind the heart: a round shadow with gas above fluid."""
    rng = onset.rng()
    size = 27 + 20 * onset.grade
    centre = (rng.uniform(2, 26), 34.0, rng.uniform(84, 98))
    sac = Ellipsoid(centre, (size, size * 0.8, size * 0.9))
    wall = scene.within(0, sac) + scene.within(1, sac)
    gas = length(sac.scaled(1 - 4 / size).interval(scene.rays))
    gas = np.where(scene.rays.origin[2] < centre[2] + rng.uniform(-0.3, 0.2) * size, gas, 0)
    shade = wall * np.float32(FILLED) - gas * np.float32(0.9 * SOFT)
    outline = length(sac.interval(scene.rays))
    return Lesion(shade.astype(np.float32), (), (scene.box(outline),))


def _nothing(scene: Scene) -> Plane:
    return np.zeros_like(scene.aerated[0])


def enlarged_heart(chest: Chest, onset: Onset) -> Chest:
    """Enlarge the heart until its cardiothoracic ratio is 0.53 to 0.66."""
    ratio = 0.53 + 0.13 * onset.grade
    factor, heart = 1.0, chest.heart
    while replace(chest, heart=heart).cardiothoracic_ratio < ratio:
        factor += 0.02
        heart = tuple(part.scaled(factor).moved(x=12 * (factor - 1), z=6 * (factor - 1)) for part in chest.heart)
    return replace(chest, heart=heart)


def overinflated(chest: Chest, onset: Onset) -> Chest:
    """Make the lungs less dense, the diaphragm low and flat, and the heart narrow."""
    domes = [
        replace(
            dome.moved(z=16 - dome.axes[2] * (0.3 + 0.25 * onset.grade)),
            axes=(94, 106, dome.axes[2] * (0.7 - 0.25 * onset.grade)),
        )
        for dome in chest.domes
    ]
    lung = LUNG * (0.68 - 0.22 * onset.grade)
    heart = tuple(replace(part, axes=(part.axes[0] * 0.88, *part.axes[1:])) for part in chest.heart)
    room = (chest.room[0], chest.room[1].moved(z=16))
    return replace(chest, room=room, domes=(domes[0], domes[1]), lung=(lung, lung), heart=heart, vascularity=0.55)


def congested(chest: Chest, onset: Onset) -> Chest:
    """Widen the vessels."""
    return replace(chest, vascularity=chest.vascularity * (1.35 + 0.4 * onset.grade))


def folded(chest: Chest, onset: Onset) -> Chest:
    """Raise the diaphragm on the side of a lobe that has lost its air."""
    if not lobar(onset):
        return chest
    domes = [dome.moved(z=-14.0 if side == onset.side else 0.0) for side, dome in enumerate(chest.domes)]
    return replace(chest, domes=(domes[0], domes[1]))

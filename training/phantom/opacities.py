"""Findings inside the lung: opacities and scars."""

import numpy as np

from training.phantom.anatomy import CORTEX, LUNG, SIDES, SOFT
from training.phantom.onset import Onset
from training.phantom.scene import Lesion, Scene
from training.phantom.solid import Ellipsoid, Plane, Points, Vector, hull
from training.phantom.strand import Strands, curve, gather, tube

FILLED = SOFT - LUNG  # increase in attenuation, 1/mm, where fluid or tissue replaces air


def nodule(scene: Scene, onset: Onset) -> Lesion:
    """One round opacity under 3 cm: diameter 13 to 29 mm, or 7 to 13 mm if small (4 to 8 pixels of a 224 input)."""
    rng = onset.rng()
    centre = _spot(scene, onset.side, rng)
    r = 3.5 + 3 * onset.grade if onset.small else 6.5 + 8 * onset.grade
    ball = Ellipsoid(centre, (r, r * rng.uniform(0.8, 1), r * rng.uniform(0.85, 1)))
    dense = CORTEX - LUNG if rng.random() < 0.12 else FILLED  # some are calcified
    shade = scene.within(onset.side, ball) * np.float32(dense * rng.uniform(0.85, 1.0))
    return Lesion(shade, (), (scene.box(shade),))


def mass(scene: Scene, onset: Onset) -> Lesion:
    """One lobulated opacity over 3 cm, some with spicules."""
    rng = onset.rng()
    centre = np.array(_spot(scene, onset.side, rng))
    size = 17 + 15 * onset.grade
    lobes = [Ellipsoid(_vector(centre), (size, size, size * 0.95))]
    for step in rng.normal(0, 0.42 * size, (4, 3)):
        lobes.append(Ellipsoid(_vector(centre + step), (0.65 * size,) * 3))
    whole = hull(*(lobe.interval(scene.rays) for lobe in lobes))
    shade = scene.inside(onset.side, whole) * np.float32(FILLED * 0.9)
    spicules = _spicules(centre, size, rng) if rng.random() < 0.5 else ()
    return Lesion(shade, spicules, (scene.box(shade),), tuple((lobe, 0.9) for lobe in lobes))


def consolidation(scene: Scene, onset: Onset) -> Lesion:
    """Part of a lobe without air, uniform and dense, with open bronchi."""
    rng = onset.rng()
    region = _lobe(onset, rng, 0.9 + 0.3 * onset.grade)
    uniform = 1 + 0.08 * scene.texture(rng, 30)
    fill = rng.uniform(0.75, 0.95)
    shade = scene.within(onset.side, region) * uniform * np.float32(FILLED * fill)
    return Lesion(shade, _bronchi(scene, onset, region, -fill * FILLED), (scene.box(shade),), ((region, fill),))


def pneumonia(scene: Scene, onset: Onset) -> Lesion:
    """An irregular opacity in one lobe, fading towards its rim, with open bronchi."""
    rng = onset.rng()
    region = _lobe(onset, rng, 0.95 + 0.3 * onset.grade)
    fluffy = np.maximum(0, 1 + 0.55 * scene.texture(rng, 26))
    fill = rng.uniform(0.5, 0.8)
    shade = scene.soft(onset.side, region) * fluffy * np.float32(FILLED * fill)
    return Lesion(
        shade, _bronchi(scene, onset, region, -0.5 * fill * FILLED), (scene.box(shade),), ((region, 0.5 * fill),)
    )


def infiltration(scene: Scene, onset: Onset) -> Lesion:
    """Faint patches scattered in one lung or both."""
    rng = onset.rng()
    sides = (0, 1) if rng.random() < 0.45 else (onset.side,)
    patchy = np.maximum(0, 0.8 + 0.8 * scene.texture(rng, 16))
    fill = np.float32(FILLED * (0.22 + 0.16 * onset.grade))
    shades = [_patches(scene, side, rng) * patchy * fill for side in sides]
    return Lesion(_total(shades), (), tuple(scene.box(shade) for shade in shades))


def edema(scene: Scene, onset: Onset) -> Lesion:
    """Perihilar haze on both sides in the shape of bat wings, and septal lines at the bases."""
    rng = onset.rng()
    grain = np.maximum(0, 1 + 0.4 * scene.texture(rng, 12))
    fill = np.float32(FILLED * (0.24 + 0.3 * onset.grade))
    shades = []
    for side in range(2):
        x, y, z = scene.chest.hila[side]
        wing = Ellipsoid((x + SIDES[side] * 30, y, z + 16), (70, 76, 88), roll=SIDES[side] * 0.15)
        shades.append(scene.soft(side, wing) * grain * fill)
    lines = [line for side in range(2) for line in _septal_lines(side, onset.grade, rng)]
    return Lesion(_total(shades), (gather(lines),), tuple(scene.box(shade) for shade in shades))


def fibrosis(scene: Scene, onset: Onset) -> Lesion:
    """A net of fine lines and small rings in the periphery of both lower zones."""
    rng = onset.rng()
    nets = [_net(scene, side, int(600 + 800 * onset.grade), rng) for side in range(2)]
    shades = []
    for side in range(2):
        base = Ellipsoid((SIDES[side] * 92, 20, 105), (58, 80, 62))
        shades.append(scene.soft(side, base) * np.float32(0.12 * FILLED))
    boxes = tuple(scene.box_of_points(net.points) for net in nets)
    return Lesion(_total(shades), tuple(nets), boxes)


def _lobe(onset: Onset, rng: np.random.Generator, size: float) -> Ellipsoid:
    """Draw a region in an upper, middle or lower lobe."""
    side = SIDES[onset.side]
    places = (((62, -6, -48), (54, 80, 42)), ((74, -38, 66), (44, 42, 34)), ((84, 34, 92), (50, 52, 48)))
    (x, y, z), (a, b, c) = places[rng.integers(3)]
    x, y, z = np.array([x, y, z]) + rng.normal(0, 6, 3)
    return Ellipsoid((side * x, y, z), (a * size, b * size, c * size), roll=rng.normal(0, 0.3))


def _spot(scene: Scene, side: int, rng: np.random.Generator) -> Vector:
    """Draw a place inside one lung, away from heart and diaphragm."""
    chest = scene.chest
    lung = chest.lungs[side].scaled(0.84)
    spread = np.linalg.inv(lung.matrix().astype(np.float64))
    points = rng.uniform(-1, 1, (400, 3)) @ spread.T + lung.centre
    free = (lung.depth(points) < 1) & (points[:, 2] < chest.domes[side].centre[2] - chest.domes[side].axes[2] - 6)
    for part in (*chest.heart, *chest.mediastinum, *chest.column):
        free &= part.scaled(1.1).depth(points * [1, 0, 1] + [0, part.centre[1], 0]) > 1  # beside it, not behind
    return _vector(points[free][0] if free.any() else np.array(lung.centre) - [0, 0, 90])


def _vector(point: Points) -> Vector:
    return float(point[0]), float(point[1]), float(point[2])


def _total(shades: list[Plane]) -> Plane:
    return np.asarray(sum(shades), dtype=np.float32)


def _spicules(centre: Points, size: float, rng: np.random.Generator) -> tuple[Strands, ...]:
    rays = rng.normal(size=(26, 3))
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    reach = np.linspace(0.9, 1.5, 14)[:, None] * size
    thin = np.linspace(1.1, 0.3, 14)
    return tuple(tube(centre + reach * ray, thin, FILLED) for ray in rays)


def _bronchi(scene: Scene, onset: Onset, region: Ellipsoid, attenuation: float) -> tuple[Strands, ...]:
    """Draw open airways from the hilum through a filled region."""
    rng = onset.rng()
    start, centre = np.array(scene.chest.hila[onset.side]), np.array(region.centre)
    tubes = []
    for end in centre + rng.uniform(-0.75, 0.75, (7, 3)) * region.axes:
        line = curve(np.stack([start, (start + centre) / 2 + rng.normal(0, 5, 3), end]), 0.8)
        inner = line[region.depth(line) < 0.85]
        if len(inner) > 3:
            tubes.append(tube(inner, np.linspace(2.4, 1.0, len(inner)), attenuation))
    return tuple(tubes)


def _patches(scene: Scene, side: int, rng: np.random.Generator) -> Plane:
    shades = []
    for _ in range(5):
        a, b, c = rng.uniform(22, 42, 3)
        shades.append(scene.soft(side, Ellipsoid(_spot(scene, side, rng), (a, b, c), roll=rng.uniform(-1, 1))))
    return _total(shades)


def _septal_lines(side: int, grade: float, rng: np.random.Generator) -> list[Strands]:
    """Draw Kerley B lines: 1 to 2 cm, horizontal, reaching the pleura at the base."""
    lines = []
    for z in np.arange(62, 122, 7 - 3 * grade) + rng.normal(0, 1.5):
        wall = SIDES[side] * 140 * np.sqrt(1 - ((z - 130) / 278) ** 2)
        inner = wall - SIDES[side] * rng.uniform(11, 20)
        ends = np.array([[wall, rng.uniform(-30, 30), z], [inner, 0, z + rng.normal(0, 2)]])
        lines.append(tube(curve(ends, 0.5), 0.75, FILLED))
    return lines


def _net(scene: Scene, side: int, count: int, rng: np.random.Generator) -> Strands:
    """Draw short lines and rings in the outer shell of a lung, densest at the base."""
    lung = scene.chest.lungs[side]
    unit = rng.normal(size=(8 * count, 3))
    unit *= (rng.uniform(0.72, 0.98, 8 * count) / np.linalg.norm(unit, axis=1))[:, None]
    points = unit @ np.linalg.inv(lung.matrix().astype(np.float64)).T + lung.centre
    low = rng.uniform(20, 125, len(points))
    free = (points[:, 2] > low) & (np.abs(points[:, 0]) > 55)
    for solid in (scene.chest.domes[side], *scene.chest.heart):
        free &= solid.depth(points) > 1.02
    free &= np.all([part.depth(points) < 1 for part in scene.chest.room], axis=0)
    places = points[free][:count]
    lines = places[:, None] + np.where((np.arange(len(places)) % 3 < 2)[:, None, None], *_meshes(len(places), rng))
    step = np.linalg.norm(np.gradient(lines, axis=1), axis=2).ravel()
    return Strands(lines.reshape(-1, 3), np.full(step.size, 0.7), np.pi * 0.7**2 * step * FILLED)


def _meshes(count: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """Draw lines of 6 to 13 mm and rings with a diameter of 3 to 7 mm: `[count, 16, 3]` each."""
    ray = rng.normal(size=(count, 3)) * [1, 0.4, 1]
    ray *= rng.uniform(6, 13, (count, 1)) / np.linalg.norm(ray, axis=1)[:, None]
    strokes = np.linspace(-0.5, 0.5, 16)[:, None] * ray[:, None]
    turn, radius = np.linspace(0, 2 * np.pi, 16), rng.uniform(1.6, 3.6, (count, 1))
    return strokes, np.stack([radius * np.cos(turn), 0 * radius * turn, radius * np.sin(turn)], 2)

"""Objects in a radiograph that are not findings: side markers, electrodes and leads, lines, a pacemaker."""

import numpy as np
from PIL import Image, ImageDraw

from training.phantom.camera import Camera, View
from training.phantom.solid import Plane, Points
from training.phantom.strand import Strands, curve, gather, tube

LEAD = 3.0  # attenuation of a marker
WIRE = 0.10  # 1/mm, thin steel and barium stripes, hardened beam
LETTERS = {
    "L": (((0, 0), (0, 1)), ((0, 1), (0.6, 1))),
    "R": (
        ((0, 0), (0, 1)),
        ((0, 0), (0.5, 0.06)),
        ((0.5, 0.06), (0.5, 0.46)),
        ((0.5, 0.46), (0, 0.52)),
        ((0.2, 0.52), (0.6, 1)),
    ),
}


def devices(view: View, rng: np.random.Generator) -> Strands:
    """Draw lines and devices of a patient: many in AP (portable) radiographs, few in PA."""
    often = 0.45 if view == "AP" else 0.1
    makers = ((often, _electrodes), (often, _central_line), (often * 0.5, _breathing_tube), (0.04, _pacemaker))
    parts = [make(rng) for chance, make in makers if rng.random() < chance]
    return gather(parts)


def marker(camera: Camera, rng: np.random.Generator) -> Plane:
    """Draw a lead letter in an upper corner, on the side that it names: attenuation `[H, W] float32`."""
    letter = "L" if rng.random() < 0.6 else "R"
    x = rng.uniform(0.88, 0.93) if letter == "L" else rng.uniform(0.04, 0.09)
    corner = np.array([x * camera.width, rng.uniform(0.04, 0.16) * camera.height])
    tall = rng.uniform(11, 15) / camera.pitch
    turn = rng.normal(0, 0.12)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    picture = Image.new("L", (camera.width, camera.height))
    draw = ImageDraw.Draw(picture)
    for stroke in LETTERS[letter]:
        ends = corner + tall * (np.array(stroke) @ rotation.T)
        draw.line([tuple(end) for end in ends], fill=255, width=max(1, round(0.17 * tall)))
    return np.asarray(picture, dtype=np.float32) * np.float32(LEAD / 255)


def _electrodes(rng: np.random.Generator) -> Strands:
    """Draw three electrodes, each with a snap and a wire."""
    parts = []
    for x, z in ((-110, -40), (105, -45), (98, 130)):
        at = np.array([x, -118, z]) + rng.normal(0, 9, 3) * [1, 0, 1]
        away = at + np.array([np.sign(x) * rng.uniform(30, 90), 0, rng.uniform(60, 140)])
        parts.append(tube(at + _circle(3.4), 1.4, WIRE))
        parts.append(_line(np.stack([at, (at + away) / 2 + rng.normal(0, 14, 3), 1.4 * away - 0.4 * at]), 0.6, WIRE))
    return gather(parts)


def _central_line(rng: np.random.Generator) -> Strands:
    """Draw a line from under the right clavicle or the neck to the superior vena cava."""
    start = [-62, -70, -104] if rng.random() < 0.5 else [-38, -20, -190]
    tip = [-18 + rng.normal(0, 2), -8, rng.uniform(-25, 25)]
    return _line(np.array([start, [-32, -35, -98], [-17, -12, -62], tip]), 0.95, 0.07)


def _breathing_tube(rng: np.random.Generator) -> Strands:
    """Draw the stripe of a tube in the trachea, and a feeding tube to the stomach."""
    end = rng.uniform(-62, -38)
    breathing = _line(np.array([[1, 0, -200], [-2, 3, -120], [0.0, 8, end]]), 0.7, WIRE)
    feeding = _line(np.array([[3, 20, -200], [4, 28, 0], [9, 26, 110], [34, 10, 160], [62, 0, 178.0]]), 0.8, 0.06)
    return gather([breathing, feeding])


def _pacemaker(rng: np.random.Generator) -> Strands:
    """Draw a pacemaker below the left clavicle with leads to the right heart."""
    at = np.array([108 + rng.normal(0, 6), -112, -52 + rng.normal(0, 6)])
    n = 900
    i = np.arange(n) + 0.5
    radius, angle = 21 * np.sqrt(i / n), i * np.pi * (3 - np.sqrt(5))
    disc = at + np.stack([radius * np.cos(angle), 0 * i, 0.85 * radius * np.sin(angle)], 1)
    can = Strands(disc, np.full(n, 1.2), np.full(n, np.pi * 21**2 * 0.85 / n * 2.2))
    x, y, z = at
    pocket = [(x - 18, y, z - 8), (x - 40, y + 40, z - 38)]
    path = [*pocket, (14, -20, -70), (-20, -10, -20), (-18, -20, 55), (32, -55, 104)]
    return gather([can, _line(np.array(path), 0.75, WIRE * 1.5)])


def _line(knots: Points, radius: float, attenuation: float) -> Strands:
    return tube(curve(np.asarray(knots, dtype=np.float64), 0.6), radius, attenuation)


def _circle(radius: float) -> Points:
    turn = np.linspace(0, 2 * np.pi, 28)
    return np.stack([radius * np.cos(turn), 0 * turn, radius * np.sin(turn)], 1)

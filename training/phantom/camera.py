"""The X-ray tube, the detector and the patient between them: rays of pixels, and pixels of points."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from training.phantom.solid import Plane, Points, Rays, Vector, transform

View = Literal["PA", "AP"]

FOCUS_MM = {"PA": 1650.0, "AP": 950.0}  # from the isocentre; detectors at about 1.8 m and 1.1 m


class Pixels(NamedTuple):
    """Projections of points: column and row `[N]` in pixels (centres at .5), and magnification `[N]`."""

    column: Points
    row: Points
    magnification: Points


@dataclass(frozen=True)
class Pose:
    """Position of a patient before the detector.

    Parameters
    ----------
    view
        Position of the tube: behind the patient (PA) or in front (AP), which enlarges the heart in AP.
    turn, tilt, roll
        Rotation in radians about z (to one side), x (leaning back), y (in the picture).
    scale
        Size of the patient, per axis.
    shift
        Offset (x, z) of the patient in mm.
    field
        Square root of the field's area, in mm at the isocentre.
    sway
        Waves that deform the picture, so that no outline is an exact ellipse: n rows of amplitude in mm, wave numbers
        in 1/mm along u and v, phase, share of u.
    """

    view: View
    turn: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0
    scale: Vector = (1.0, 1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    field: float = 400.0
    sway: tuple[tuple[float, float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Camera:
    """A pose in front of a detector of `height` × `width` square pixels."""

    pose: Pose
    height: int
    width: int

    @property
    def pitch(self) -> float:
        """Pixel pitch at the isocentre, in mm."""
        return self.pose.field / math.sqrt(self.height * self.width)

    @cached_property
    def _frame(self) -> Points:
        """`[3, 3]` matrix from patient to room coordinates: rotation and size."""
        p = self.pose
        return _about_y(p.roll) @ _about_x(p.tilt) @ _about_z(p.turn) @ np.diag(p.scale)

    @property
    def _focus(self) -> Points:
        return np.array([0.0, FOCUS_MM["PA"] if self.pose.view == "PA" else -FOCUS_MM["AP"], 0.0])

    @property
    def _shift(self) -> Points:
        return np.array([self.pose.shift[0], 0.0, self.pose.shift[1]])

    def rays(self) -> Rays:
        """Return one ray for each pixel centre, in the patient's frame: `[3, height, width]`."""
        u = (np.arange(self.width) + 0.5 - self.width / 2) * self.pitch
        v = (np.arange(self.height) + 0.5 - self.height / 2) * self.pitch
        u, v = np.meshgrid(_single(u), _single(v))
        du, dv = self._sway(u, v)
        target = np.stack([u + du, np.zeros_like(u), v + dv])  # [3, H, W]
        along = target - _single(self._focus)[:, None, None]
        along /= np.sqrt((along * along).sum(0))
        inverse = _single(np.linalg.inv(self._frame))
        return Rays(transform(inverse, target - _single(self._shift)[:, None, None]), transform(inverse, along))

    def project(self, points: Points) -> Pixels:
        """Project points `[N, 3]` of the patient's frame, in mm, in single precision."""
        x, y, z = (
            transform(_single(self._frame), np.ascontiguousarray(_single(points).T)) + _single(self._shift)[:, None]
        )
        focus = np.float32(self._focus[1])
        magnification = focus / (focus - y)
        u, v = x * magnification, z * magnification
        du, dv = self._sway(u, v)  # the inverse of the sway, to first order
        return Pixels((u - du) / self.pitch + self.width / 2, (v - dv) / self.pitch + self.height / 2, magnification)

    def _sway(self, u: Points, v: Points) -> tuple[Points, Points]:
        du, dv = np.zeros_like(u), np.zeros_like(v)
        for amplitude, ku, kv, phase, share in self.pose.sway:
            wave = np.float32(amplitude) * np.sin(np.float32(ku) * u + np.float32(kv) * v + np.float32(phase))
            du += np.float32(share) * wave
            dv += np.float32(1 - share) * wave
        return du, dv


def _single(values: Points) -> Plane:
    return np.asarray(values, dtype=np.float32)


def _about_x(angle: float) -> Points:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> Points:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def _about_z(angle: float) -> Points:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

"""A chest in front of a camera: path lengths through lungs, tissue and the solids of findings."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image

from training.phantom.anatomy import SOFT, Chest
from training.phantom.camera import Camera
from training.phantom.solid import Ellipsoid, Interval, Plane, Points, Rays, hull, length, meet, transform, without
from training.phantom.strand import Strands

Box = tuple[float, float, float, float]

EDGE = 0.15  # share of a finding's largest attenuation at which its box ends


class Lesion(NamedTuple):
    """The contribution of a finding to the image.

    Attributes
    ----------
    shade
        Added attenuation, `[h, w] float32` on the scene's grid.
    strands
        Added thin structures.
    boxes
        Boxes (x0, y0, x1, y1) in [0, 1] of the picture.
    filled
        Solids with the share of air that they have lost, which reduces the contrast of vessels in them.
    """

    shade: Plane
    strands: tuple[Strands, ...]
    boxes: tuple[Box, ...]
    filled: tuple[tuple[Ellipsoid, float], ...] = ()


@dataclass(frozen=True)
class Scene:
    """The solids on the camera's own grid."""

    chest: Chest
    camera: Camera

    @cached_property
    def rays(self) -> Rays:
        """One ray for each pixel, `[3, h, w]`."""
        return self.camera.rays()

    @cached_property
    def centre(self) -> tuple[Interval, Interval]:
        """Heart with the mediastinum around it, and the spine with the aorta before it."""
        front = hull(*(part.interval(self.rays) for part in (*self.chest.heart, *self.chest.mediastinum)))
        return front, hull(*(part.interval(self.rays) for part in self.chest.column))

    @cached_property
    def domes(self) -> tuple[Interval, Interval]:
        """Solid under the diaphragm of each side."""
        return self.chest.domes[0].interval(self.rays), self.chest.domes[1].interval(self.rays)

    @cached_property
    def lungs(self) -> tuple[Interval, Interval]:
        """Intersection of each lung with the chest, without subtracting mediastinum and diaphragm."""
        room = [part.interval(self.rays) for part in self.chest.room]
        right, left = (meet(lung.interval(self.rays), *room) for lung in self.chest.lungs)
        return right, left

    @cached_property
    def aerated(self) -> tuple[Plane, Plane]:
        """Path through each lung, `[h, w] float32` in mm."""
        return self.inside(0), self.inside(1)

    def inside(self, side: int, *regions: Interval) -> Plane:
        """Return the path through the part of one lung that is in all regions: `[h, w] float32` in mm."""
        return without(meet(self.lungs[side], *regions), *self.centre, self.domes[side])

    def within(self, side: int, solid: Ellipsoid) -> Plane:
        """Return the path through the part of one lung that is in a solid: `[h, w] float32` in mm."""
        return self.inside(side, solid.interval(self.rays))

    def soft(self, side: int, solid: Ellipsoid) -> Plane:
        """Return the path through the part of one lung in a solid of density 1 - r²: `[h, w] float32` in mm."""
        return np.asarray(self.within(side, solid) * self._falling(solid), dtype=np.float32)

    def _falling(self, solid: Ellipsoid) -> Plane:
        """Return the mean of 1 - r² along each ray's path through a solid."""
        path = length(solid.interval(self.rays))
        stretch = (transform(solid.matrix(), self.rays.direction) ** 2).sum(0)
        return np.asarray(path * path * stretch / 6)  # ∫ (1 - r²) = 2/3 path s², and path = 2 s / √stretch

    def attenuation(self) -> Plane:
        """Return the line integral through body, lungs and bowel gas, without bones and vessels: `[h, w] float32`."""
        body = hull(*(part.interval(self.rays) for part in self.chest.body))
        total = length(body) * np.float32(SOFT)
        for path, lung in zip(self.aerated, self.chest.lung, strict=True):
            total += path * np.float32(lung - SOFT)
        for breast in self.chest.breasts:  # compressed by the detector, hence without a rim
            total += length(breast.interval(self.rays)) * self._falling(breast) * np.float32(SOFT)
        under = self.domes[1]
        for bubble in self.chest.gas:
            total -= length(meet(bubble.interval(self.rays), under)) * np.float32(SOFT)
        return total

    def texture(self, rng: np.random.Generator, scale: float) -> Plane:
        """Draw fractal noise `[h, w] float32` with mean 0, standard deviation 1 and a largest grain of `scale` mm."""
        camera, total = self.camera, np.zeros((self.camera.height, self.camera.width), np.float32)
        for octave in range(4):
            cell = scale / 2**octave
            grid = [max(2, round(n * camera.pitch / cell)) for n in (camera.height, camera.width)]
            total += enlarge(rng.standard_normal(grid, dtype=np.float32), camera.height, camera.width) * 0.6**octave
        return np.asarray((total - total.mean()) / total.std(), dtype=np.float32)

    def box(self, shade: Plane) -> Box:
        """Return the box in which a shade `[h, w]` exceeds `EDGE` of its maximum."""
        strong = np.abs(shade) > EDGE * max(float(np.abs(shade).max()), 1e-9)
        rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
        if not len(rows):
            return (0.0, 0.0, 1.0, 1.0)
        height, width = shade.shape
        return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height

    def box_of_points(self, points: Points) -> Box:
        """Return the box of the projections of points `[N, 3]`, without 1 % at each edge, clipped to the picture."""
        pixels = self.camera.project(points)
        x0, x1 = np.clip(np.percentile(pixels.column, [1, 99]) / self.camera.width, 0, 1)
        y0, y1 = np.clip(np.percentile(pixels.row, [1, 99]) / self.camera.height, 0, 1)
        return float(x0), float(y0), float(x1), float(y1)


def enlarge(plane: Plane, height: int, width: int) -> Plane:
    """Resample `[h, w] float32` to `[height, width]`, bicubic."""
    if plane.shape == (height, width):
        return plane
    picture = Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)

"""A whole phantom radiograph from a seed and an index."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from model.labels import LABELS
from training.phantom import anatomy, findings, onset
from training.phantom.anatomy import Chest, Patient, Sex
from training.phantom.camera import Camera, Pose, View
from training.phantom.detector import Exposure, photograph
from training.phantom.distractors import devices, marker
from training.phantom.pleura import follow
from training.phantom.scene import Box, Lesion, Scene, enlarge
from training.phantom.skeleton import skeleton
from training.phantom.solid import Plane
from training.phantom.strand import Strands, gather, shadow
from training.phantom.vessels import airways, fade, vessels

FINE_PX = 448  # at this size and above, the large solids are computed on every second pixel

# Independent streams of random numbers, so that a change in one part of the image does not change the others.
PATIENT, SHAPE, TREES, BREATH, POSE, EXPOSURE, DEVICES, MARKER, DRAW, ONSET, NOISE = range(11)


@dataclass(frozen=True)
class Phantom:
    """A phantom radiograph.

    Parameters
    ----------
    values
        `[H, W] float32 in [0, 1]`, display values, bone white.
    target
        `[14] float32`, 0 or 1, in the order of `model.labels.LABELS`.
    boxes
        Label to boxes (x0, y0, x1, y1) in [0, 1] of the picture: the place of the finding, or its extent if diffuse.
    patient
        Number of the patient; images of one patient share the anatomy.
    pitch
        Pixel pitch in mm.
    """

    values: Plane
    target: Plane
    boxes: Mapping[str, tuple[Box, ...]]
    patient: int
    view: View
    sex: Sex
    age: int
    pitch: float


def patient_number(index: int) -> int:
    """Return the number of an image's patient: four images belong to three patients, the third of whom has two."""
    return 3 * (index // 4) + min(index % 4, 2)


def draw_labels(seed: int, index: int, among: tuple[str, ...] = LABELS) -> tuple[str, ...]:
    """Return the labels that `phantom` shows in an image, without drawing the image."""
    return findings.draw_findings(_stream(seed, DRAW, index), among)


def phantom(
    seed: int,
    index: int,
    size: int | tuple[int, int] = 896,
    findings: tuple[str, ...] | None = None,
    small: float = 0.0,
) -> Phantom:
    """Draw one radiograph; equal arguments give equal radiographs.

    Parameters
    ----------
    size
        Side of a square, or (height, width), in pixels.
    findings
        Labels to show; None draws them by the prevalences of `findings.FINDINGS`.
    small
        Probability that a nodule is small.

    Raises
    ------
    KeyError
        A label is unknown.
    """
    labels = draw_labels(seed, index) if findings is None else findings
    onsets = {
        label: onset.draw_onset(_stream(seed, ONSET, index, LABELS.index(label)), small) for label in _known(labels)
    }
    who = anatomy.patient(patient_number(index), _stream(seed, PATIENT, patient_number(index)))
    pose = _pose(who, _stream(seed, POSE, index))
    chest = _chest(seed, index, who, onsets)
    camera = Camera(pose, *((size, size) if isinstance(size, int) else size))
    values, lesions = _exposed(seed, index, camera, chest, who, onsets)
    return Phantom(
        values=values,
        target=np.array([label in onsets for label in LABELS], dtype=np.float32),
        boxes={label: lesion.boxes for label, lesion in lesions.items()},
        patient=who.number,
        view=pose.view,
        sex=who.sex,
        age=who.age,
        pitch=camera.pitch,
    )


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng([seed, *key])


def _known(labels: tuple[str, ...]) -> tuple[str, ...]:
    for label in labels:
        if label not in LABELS:
            raise KeyError(f"{label!r} is not one of {', '.join(LABELS)}")
    return tuple(label for label in LABELS if label in labels)


def _pose(who: Patient, rng: np.random.Generator) -> Pose:
    """Draw the position of a patient, which varies more in portable radiographs."""
    view: View = "AP" if rng.random() < 0.3 else "PA"
    loose = 1.6 if view == "AP" else 1.0
    turn, tilt, roll = rng.normal(0, 1, 3) * [0.035, 0.03, 0.018] * loose
    width = float(np.mean(who.scale)) * 372 * rng.uniform(0.96, 1.1) * (1.04 if view == "AP" else 1)
    shift = rng.normal(0, 1, 2) * [5, 7] * loose + [0, -30 * who.scale[2]]
    sway = tuple(
        (rng.uniform(0.8, 2.2), *rng.normal(0, 0.022, 2), rng.uniform(0, 6.3), rng.uniform()) for _ in range(6)
    )
    return Pose(view, turn, tilt, roll, who.scale, (shift[0], shift[1]), width, sway)


def _chest(seed: int, index: int, who: Patient, onsets: Mapping[str, onset.Onset]) -> Chest:
    breath = float(np.clip(_stream(seed, BREATH, index).normal(0.85, 0.18), 0.2, 1.1))
    chest = anatomy.chest(who, breath, _stream(who.seed, SHAPE))
    return findings.remodel(chest, onsets)


def _exposed(
    seed: int, index: int, camera: Camera, chest: Chest, who: Patient, onsets: Mapping[str, onset.Onset]
) -> tuple[Plane, dict[str, Lesion]]:
    """Return the display values and the lesion of each finding."""
    half = 2 if min(camera.height, camera.width) >= FINE_PX else 1
    scene = Scene(chest, Camera(camera.pose, camera.height // half, camera.width // half))
    lesions = findings.lesions(scene, onsets)
    bulk = scene.attenuation() + sum(lesion.shade for lesion in lesions.values())
    strands = [part for lesion in lesions.values() for part in lesion.strands]
    filled = [solid for lesion in lesions.values() for solid in lesion.filled]
    strands += [fade(follow(tree, chest, side), filled) for side, tree in enumerate(_trees(who))]
    strands += [skeleton(who.seed), airways(chest), devices(camera.pose.view, _stream(seed, DEVICES, index))]
    total = enlarge(np.asarray(bulk, dtype=np.float32), camera.height, camera.width)
    total = total + shadow(gather(strands), camera) + marker(camera, _stream(seed, MARKER, index))
    exposure = _exposure(camera.pose.view, _stream(seed, EXPOSURE, index))
    return photograph(np.maximum(total, 0), camera.pitch, exposure, _stream(seed, NOISE, index)), lesions


@lru_cache(maxsize=2)
def _trees(who: Patient) -> tuple[Strands, Strands]:
    """Return the vessels of a patient's lungs at full inspiration, without findings."""
    chest = anatomy.chest(who, 1.0, _stream(who.seed, SHAPE))
    return vessels(chest, 0, _stream(who.seed, TREES, 0)), vessels(chest, 1, _stream(who.seed, TREES, 1))


def _exposure(view: View, rng: np.random.Generator) -> Exposure:
    portable = view == "AP"
    return Exposure(
        photons=float(np.exp(rng.uniform(12.4, 14.2))) * (0.5 if portable else 1),
        scatter=rng.uniform(0.3, 0.7) if portable else rng.uniform(0.15, 0.4),
        heel=rng.uniform(0, 0.2),
        shutters=tuple(np.where(rng.random(4) < 0.25, rng.uniform(0.005, 0.035, 4), 0.0)),
        compression=rng.uniform(0.45, 0.75),
        detail=rng.uniform(1.4, 2.1),
        window=(rng.uniform(0.5, 4), rng.uniform(86, 96)),
        gamma=rng.uniform(0.75, 1.1),
    )

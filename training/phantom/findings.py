"""The fourteen findings: how each changes the shape of a chest, what it adds, and how often it is drawn."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from model.labels import LABELS
from training.phantom import opacities, pleura, volume
from training.phantom.anatomy import Chest
from training.phantom.onset import Onset
from training.phantom.scene import Lesion, Scene


class Finding(NamedTuple):
    """A finding: share of radiographs that show it, its lesion in the image, and its change of the chest's shape."""

    prevalence: float
    lesion: Callable[[Scene, Onset], Lesion]
    remodel: Callable[[Chest, Onset], Chest] | None = None


# Drawn independently. The prevalences follow ChestX-ray14's order, with rare findings made common enough to learn.
FINDINGS: Mapping[str, Finding] = {
    "Atelectasis": Finding(0.11, volume.atelectasis, volume.folded),
    "Cardiomegaly": Finding(0.07, volume.cardiomegaly, volume.enlarged_heart),
    "Effusion": Finding(0.12, pleura.effusion, pleura.floated),
    "Infiltration": Finding(0.12, opacities.infiltration),
    "Mass": Finding(0.07, opacities.mass),
    "Nodule": Finding(0.08, opacities.nodule),
    "Pneumonia": Finding(0.05, opacities.pneumonia),
    "Pneumothorax": Finding(0.08, pleura.pneumothorax, pleura.detached),
    "Consolidation": Finding(0.06, opacities.consolidation),
    "Edema": Finding(0.05, opacities.edema, volume.congested),
    "Emphysema": Finding(0.05, volume.emphysema, volume.overinflated),
    "Fibrosis": Finding(0.05, opacities.fibrosis),
    "Pleural_Thickening": Finding(0.06, pleura.pleural_thickening),
    "Hernia": Finding(0.04, volume.hernia),
}


def draw_findings(rng: np.random.Generator, among: tuple[str, ...] = LABELS) -> tuple[str, ...]:
    """Draw a set of findings by prevalence; about a third of the radiographs have none, for any choice of `among`."""
    none = {label: math.log1p(-FINDINGS[label].prevalence) for label in LABELS}
    often = 1.0 if set(among) == set(LABELS) else sum(none.values()) / sum(none[label] for label in among)
    draws = {label: rng.random() for label in LABELS}
    return tuple(label for label in LABELS if label in among and draws[label] < -math.expm1(often * none[label]))


def remodel(chest: Chest, onsets: Mapping[str, Onset]) -> Chest:
    """Change the shape of a chest by all findings that do so."""
    for label, onset in onsets.items():
        if (remodel := FINDINGS[label].remodel) is not None:
            chest = remodel(chest, onset)
    return chest


def lesions(scene: Scene, onsets: Mapping[str, Onset]) -> dict[str, Lesion]:
    """Return the lesion of each finding by label."""
    return {label: FINDINGS[label].lesion(scene, onset) for label, onset in onsets.items()}

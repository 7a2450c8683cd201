"""How often the service flags images as atypical, for docs/studies.md: `python -m bench.typicality [--write]`.

Runs the artefact that ships as the service does; real chests are read from AGCNN_REALDATA, ../shared/data by default.
"""

import os
import sys
from pathlib import Path

import numpy as np

from bench import atypical_images
from bench.scores import between, table
from service.artefact.file import load
from service.artefact.typicality import TypicalImages, distance, features, typical_images
from service.dicom.canvas import canvas, grey_values
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from training.data.sources import read

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies.md"
DATA = Path(os.environ.get("AGCNN_REALDATA", ROOT.parent / "shared" / "data"))
EVERY = 4  # every fourth image of the test list is altered
CHESTS = (
    "fuji_cr_chest_pa_mono1_10bit",
    "philips_cr_chest_pa_mono1_15bit_RG1_JLSN",
    "siim_nih_cr_chest_pa_mono2_jpegbaseline",
    "udacity_nih_test1",
    "udacity_nih_test2",
    "udacity_nih_test3",
)
FAKE = "siim_nih_fake_mono1_jpegbaseline"
PHANTOMS = ("normal", "pneumothorax", "cardiomegaly", "effusion", "nodule_monochrome1")


def kinds() -> atypical_images.Kinds:
    """Every kind of image; the last three kinds are chests."""
    paths = read(DATA / "nih-subset", "test", 8).paths[::EVERY]
    return {
        **atypical_images.drawings(),
        **atypical_images.photographs(),
        **atypical_images.other_body_parts(DATA / "dicom"),
        **atypical_images.altered_chests([grey_values(path) for path in paths]),
        "a chest with a wrong MONOCHROME1": atypical_images.display_values([DATA / "dicom" / f"{FAKE}.dcm"]),
        "chests from scanners, DICOM": atypical_images.display_values(
            [DATA / "dicom" / f"{name}.dcm" for name in CHESTS]
        ),
        "phantoms of `samples/`": atypical_images.display_values(
            [ROOT / "samples" / f"{name}.dcm" for name in PHANTOMS]
        ),
    }


def ratios(session: Session, typical: TypicalImages, images: list[atypical_images.Floats]) -> np.ndarray:
    """[N] distance of each image divided by the threshold."""
    preprocessing = session.artefact.card.preprocessing
    quotients = []
    for values in images:
        canvases = canvas(values, preprocessing.canvas_size, preprocessing.resize)[None]
        [outputs] = session.run(canvases)
        described = features(outputs.class_maps, outputs.heat_map)
        quotients.append(distance(described, typical.gaussian) / typical.threshold)
    return np.array(quotients)


def section() -> str:
    """False alarms from the card, and the share flagged of each kind."""
    session = Session(load(SHIPPED_ARTEFACT), "cpu", 1)
    card = session.artefact.card
    entry, typical = card.statistics.typicality, typical_images(card)
    assert entry
    assert typical
    alarms = [
        [row.source, str(row.images), f"{row.value:.1%} ({row.interval[0]:.1%} to {row.interval[1]:.1%})"]
        for row in entry.false_alarms
    ]
    rows = []
    for kind, images in kinds().items():
        ratio = ratios(session, typical, images)
        spread = " / ".join(f"{value:.2f}" for value in np.quantile(ratio, (0, 0.5, 1)))
        rows.append([kind, str(len(ratio)), f"{(ratio > 1).mean():.0%}", spread])
    return "\n\n".join(
        [
            table([["real chests", "images", "falsely flagged"], *alarms]),
            table([["kind", "images", "flagged", "distance over threshold, minimum / median / maximum"], *rows]),
        ]
    )


def main() -> None:
    text = section()
    if "--write" in sys.argv:
        between(PAGE, "typicality: python -m bench.typicality --write", text)
    print(text)


if __name__ == "__main__":
    main()

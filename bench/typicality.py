"""How often what is no chest is flagged as atypical, for docs/studies.md: `python -m bench.typicality [--write]`.

Of the artefact that ships, as the service runs it; real chests are looked for in AGCNN_REALDATA, ../shared/data.
"""

import os
import sys
from pathlib import Path

import numpy as np

from bench import atypical
from bench.scores import between, table
from service.artefact.file import load
from service.artefact.typicality import Known, distance, features, known
from service.dicom.canvas import canvas, grey_values
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from training.data.sources import read

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies.md"
DATA = Path(os.environ.get("AGCNN_REALDATA", ROOT.parent / "shared" / "data"))
EVERY = 4  # of the test list's images, to be turned
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


def kinds() -> atypical.Kinds:
    """Every kind of picture, of which the last few are chests."""
    paths = read(DATA / "nih-subset", "test", 8).paths[::EVERY]
    return {
        **atypical.drawn(),
        **atypical.photographs(),
        **atypical.other_body_parts(DATA / "dicom"),
        **atypical.transformed([grey_values(path) for path in paths]),
        "a chest, falsely MONOCHROME1": atypical.displayed([DATA / "dicom" / f"{FAKE}.dcm"]),
        "chests from scanners, DICOM": atypical.displayed([DATA / "dicom" / f"{name}.dcm" for name in CHESTS]),
        "phantoms of `samples/`": atypical.displayed([ROOT / "samples" / f"{name}.dcm" for name in PHANTOMS]),
    }


def ratios(session: Session, typical: Known, images: list[atypical.Floats]) -> np.ndarray:
    """[N] distances over the threshold."""
    preprocessing = session.artefact.card.preprocessing
    found = []
    for values in images:
        canvases = canvas(values, preprocessing.canvas_size, preprocessing.resize)[None]
        [prediction] = session.run(canvases)
        found.append(distance(features(prediction.class_maps, prediction.heat_map), typical) / typical.threshold)
    return np.array(found)


def section() -> str:
    """False alarms, from the card, and what is flagged of each kind."""
    session = Session(load(SHIPPED_ARTEFACT), "cpu", 1)
    card = session.artefact.card
    typicality, typical = card.statistics.typicality, known(card)
    assert typicality
    assert typical
    alarms = [
        [row.source, str(row.images), f"{row.value:.1%} ({row.interval[0]:.1%} to {row.interval[1]:.1%})"]
        for row in typicality.false_alarms
    ]
    rows = []
    for kind, images in kinds().items():
        found = ratios(session, typical, images)
        spread = " / ".join(f"{value:.2f}" for value in np.quantile(found, (0, 0.5, 1)))
        rows.append([kind, str(len(found)), f"{(found > 1).mean():.0%}", spread])
    return "\n\n".join(
        [
            table([["real chests", "images", "falsely flagged"], *alarms]),
            table([["kind", "images", "flagged", "distance over threshold, least / median / most"], *rows]),
        ]
    )


def main() -> None:
    text = section()
    if "--write" in sys.argv:
        between(PAGE, "typicality: python -m bench.typicality --write", text)
    print(text)


if __name__ == "__main__":
    main()

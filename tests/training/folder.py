"""Builder of a folder of the user's own images."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.factories import dicom_bytes, noise

HEADER = "image,patient,split,sex,age,view,Effusion,Nodule"
ROWS = (
    "a/1.png,p1,train,F,58,PA,1,0",
    "a/2.jpg,p1,train,F,058Y,PA,0,",
    "b/3.dcm,p2,val,M,,AP,u,1",
    "4.png,p3,test,O,44,,-1,0",
)


def folder(root: Path, header: str = HEADER, rows: Iterable[str] = ROWS) -> Path:
    """Four images of three patients: two PNG, one JPEG, one DICOM of 256 pixels and 12 bits."""
    images = root / "images"
    for name in ("a", "b"):
        (images / name).mkdir(parents=True)
    for seed, name in enumerate(("a/1.png", "a/2.jpg", "4.png")):
        Image.fromarray(noise(40, 30, 8, seed)).save(images / name)
    (images / "b/3.dcm").write_bytes(dicom_bytes(noise(256, 300)))
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return root


def stored(path: Path) -> np.ndarray:
    """Grey values of a picture in [0, 1]."""
    return np.asarray(Image.open(path), np.float32) / 255

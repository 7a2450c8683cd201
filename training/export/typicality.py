"""Fit the typicality of an artefact on real radiographs and store it in the card (see `service.artefact.typicality`).

The graph does not change. Features are computed from the outputs of the file itself in ONNX Runtime, as in the service.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from service.artefact.file import ENTRY
from service.artefact.typicality import Numbers, distance, features, gaussian
from training.data.cache import Canvases
from training.data.pixel_path import Radiographs
from training.data.sources import canvases, read, refuse_shared_patients
from training.errors import TrainingError
from training.evaluation.metrics import clopper_pearson
from training.export.export import write_whole

QUANTILE = 0.98  # share of the fitted images within the threshold
FOLDS = 5
BATCH = 8
DIGITS = 6  # significant digits in the card, of 14,000 numbers

Split = Literal["val", "train+val"]
Extractor = Callable[[NDArray[np.float32]], Numbers]


@dataclass(frozen=True)
class Sample:
    """Images of one data set.

    Attributes
    ----------
    features
        `[N, D] float64`.
    patients
        `[N]` patient of each image.
    """

    features: Numbers
    patients: NDArray[np.str_]


def add_typicality(
    artefact: Path, folders: Sequence[Path], others: Sequence[Path], cache: Path, split: Split = "train+val"
) -> dict[str, Any]:
    """Fit on images of all folders, count false alarms on test lists, and write the card; returns its new entry.

    Parameters
    ----------
    split
        Images to fit on. A network's outputs are a little different on images that it was trained on, so `val` is
        better where it has several hundred images.
    others
        Further folders of data, on whose test lists false alarms are counted too.

    Raises
    ------
    TrainingError
        The file is not an artefact, a folder of data does not fit, or a patient is in different splits of two folders.
    """
    model, card = read_artefact(artefact)
    extract, size = feature_extractor(model), card["preprocessing"]["canvas_size"]
    refuse_shared_patients(folders)
    sources = [canvases(folder, split, size, cache) for folder in folders]
    fitted = fit([Sample(all_features(extract, images), np.array(images.patients)) for images in sources])
    alarms = []
    for folder in (*folders, *others):
        test = read(folder, "test", size)
        flagged = distances(all_features(extract, test), fitted) > fitted["threshold"]
        alarms += false_alarms(f"{folder.resolve().name} test", flagged, np.array([c.collection for c in test.cases]))
    names, images = " + ".join(source.name for source in sources), sum(map(len, sources))
    entry = {"source": names, "images": images, **fitted, "false_alarms": alarms}
    card["statistics"]["typicality"] = entry
    next(item for item in model.metadata_props if item.key == ENTRY).value = json.dumps(card, allow_nan=False)
    write_whole(artefact, model.SerializeToString(deterministic=True))
    return entry


def read_artefact(artefact: Path) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Read an artefact's model and its card.

    Raises
    ------
    TrainingError
        There is no such file, or it is not an artefact.
    """
    try:
        model = onnx.load_from_string(artefact.read_bytes())
        entry = next(item.value for item in model.metadata_props if item.key == ENTRY)
    except Exception as error:  # protobuf's errors have no common base class
        raise TrainingError(f"{artefact}: not a readable artefact") from error
    return model, json.loads(entry)


def feature_extractor(model: onnx.ModelProto) -> Extractor:
    """Return a function from canvases `[B, 1, S, S] float32` to features `[B, D] float64`, on one thread."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def extract(batch: NDArray[np.float32]) -> Numbers:
        """Map canvases `[B, 1, S, S]` to features `[B, D]`."""
        class_maps, heat_maps = map(np.asarray, session.run(["class_maps", "heat_map"], {"image": batch}))
        return np.stack([features(*pair) for pair in zip(class_maps, heat_maps, strict=True)])

    return extract


def all_features(extract: Extractor, images: Canvases | Radiographs) -> Numbers:
    """Return the features `[N, D] float64` of all images; those of radiographs without the rounding of the cache."""
    chunks = np.split(np.arange(len(images)), range(BATCH, len(images), BATCH))
    return np.concatenate([extract(batch(images, chunk)) for chunk in chunks])


def batch(images: Canvases | Radiographs, chunk: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the canvases `[B, 1, S, S]` of the images at these indices `[B]`."""
    if isinstance(images, Canvases):
        return np.asarray(images.read(chunk).numpy())
    return np.stack([images[int(index)].canvas for index in chunk])


def fit(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return mean, factor, quantile and threshold, as the card has them.

    The threshold is a quantile of cross-fitted distances: the distances of each fifth of the patients are taken from
    the mean and covariance of the other four. Of several data sets, the one with the largest quantile decides, so that
    a small set whose images differ from the rest is not flagged more often.

    Parameters
    ----------
    samples
        The images of each data set.

    Raises
    ------
    TrainingError
        There are fewer than five patients.
    """
    features = np.concatenate([sample.features for sample in samples])
    patients = np.concatenate([sample.patients for sample in samples])
    names, owner = np.unique(patients, return_inverse=True)
    if len(names) < FOLDS:
        raise TrainingError(f"expected images of at least {FOLDS} patients, got {len(names)}")
    fold = np.random.default_rng(0).permutation(len(names))[owner] % FOLDS
    held_out = np.empty(len(features))
    for part in range(FOLDS):
        held_out[fold == part] = distances(features[fold == part], fit_gaussian(features[fold != part]))
    parts = np.split(held_out, np.cumsum([len(sample.patients) for sample in samples])[:-1])
    threshold = round_digits(max(np.quantile(part, QUANTILE) for part in parts))
    return {**fit_gaussian(features), "quantile": QUANTILE, "threshold": float(threshold)}


def fit_gaussian(features: Numbers) -> dict[str, Any]:
    """Return `mean` and `factor` of features `[N, D]` as the card has them, with Ledoit and Wolf's shrinkage (2004)."""
    estimate: Any = LedoitWolf().fit(features)  # type: ignore[no-untyped-call]
    factor = np.linalg.inv(np.linalg.cholesky(estimate.covariance_))
    rows = [round_digits(row[: place + 1]).tolist() for place, row in enumerate(factor)]
    return {"mean": round_digits(estimate.location_).tolist(), "factor": rows}


def distances(features: Numbers, entry: dict[str, Any]) -> Numbers:
    """Return the distances `[N]` of features `[N, D]` from the Gaussian whose `mean` and `factor` are in `entry`."""
    fitted = gaussian(entry["mean"], entry["factor"])
    return np.array([distance(row, fitted) for row in features])


def false_alarms(source: str, flagged: NDArray[np.bool_], collections: NDArray[np.str_]) -> list[dict[str, Any]]:
    """Return the share of flagged images, overall and by collection, with Clopper-Pearson intervals.

    Parameters
    ----------
    flagged
        `[N] bool`.
    collections
        `[N]` collection of each image.
    """
    parts = {source: np.ones(len(flagged), bool)}
    if len(names := sorted(set(collections.tolist()))) > 1:
        parts |= {f"{source}, collection {name}": collections == name for name in names}
    return [
        {
            "source": name,
            "images": int(chosen.sum()),
            "value": float(flagged[chosen].mean()),
            "interval": list(clopper_pearson(int(flagged[chosen].sum()), int(chosen.sum()))),
        }
        for name, chosen in parts.items()
    ]


def round_digits(values: Any) -> Numbers:
    """Round an array `[...]` to six significant digits, which changes distances by a few millionths at most."""
    return np.asarray(np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[np.float64])(values))

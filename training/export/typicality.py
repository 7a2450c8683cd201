"""What an artefact makes of real radiographs goes into its card, so that the service can flag what is unlike them.

The graph is not touched. Features are computed from the file's own outputs by ONNX Runtime, as they are served.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from training.data.cache import Canvases
from training.data.sources import canvases
from training.errors import TrainingError
from training.evaluation.metrics import clopper_pearson
from training.export.export import write_whole

QUANTILE = 0.98  # of the images that it is fitted on, which the threshold is to let pass
FOLDS = 5
FLOOR = 1e-4  # as the service's `typicality`
BATCH = 8
DIGITS = 6  # significant ones kept in the card: 14,000 numbers

Numbers = NDArray[np.float64]
Describe = Callable[[NDArray[np.float32]], Numbers]


def typical(artefact: Path, data: Path, others: Sequence[Path], cache: Path) -> dict[str, Any]:
    """Fit on train + val, count false alarms on every test list, write the card; returns its entry `typicality`.

    Parameters
    ----------
    others
        Further folders of data, of whose test lists alone false alarms are counted.

    Raises
    ------
    TrainingError
        The file is no artefact, or a folder of data does not fit.
    """
    model, card = opened(artefact)
    describe, size = describer(model), card["preprocessing"]["canvas_size"]
    images = canvases(data, "train+val", size, cache)
    found = fitted(described(describe, images), np.array(images.patients))
    alarms = []
    for folder in (data, *others):
        test = canvases(folder, "test", size, cache)
        flagged = distances(described(describe, test), found) > found["threshold"]
        alarms += false_alarms(f"{folder.resolve().name} test", flagged, np.array(test.collections))
    entry = {"source": images.name, "images": len(images), **found, "false_alarms": alarms}
    card["statistics"]["typicality"] = entry
    next(each for each in model.metadata_props if each.key == "agcnn").value = json.dumps(card, allow_nan=False)
    write_whole(artefact, model.SerializeToString(deterministic=True))
    return entry


def opened(artefact: Path) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Read an artefact's model and its card.

    Raises
    ------
    TrainingError
        There is no such file, or it is none of ours.
    """
    try:
        model = onnx.load_from_string(artefact.read_bytes())
        entry = next(entry.value for entry in model.metadata_props if entry.key == "agcnn")
    except Exception as error:  # those of protobuf have no other root
        raise TrainingError(f"{artefact}: no artefact that can be read") from error
    return model, json.loads(entry)


def describer(model: onnx.ModelProto) -> Describe:
    """What maps [B, 1, S, S] to features [B, D], on one thread."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def describe(batch: NDArray[np.float32]) -> Numbers:
        class_maps, heat_maps = map(np.asarray, session.run(["class_maps", "heat_map"], {"image": batch}))
        return np.stack([features(*pair) for pair in zip(class_maps, heat_maps, strict=True)])

    return describe


def features(class_maps: NDArray[np.float32], heat_map: NDArray[np.float32]) -> Numbers:
    """[D] of [K, h, w] and [h, w]: the same as in the service's `typicality`, which says what they are."""
    maps = class_maps.reshape(len(class_maps), -1).astype(np.float64)
    means = maps.mean(1)
    deviations = maps - means[:, None]
    values, vectors = np.linalg.eigh(deviations @ deviations.T / maps.shape[1])
    logarithm = (vectors * np.log(np.maximum(values, 0) + FLOOR)) @ vectors.T
    return np.concatenate([means, logarithm[np.triu_indices(len(maps))], heat_map.ravel()])


def described(describe: Describe, images: Canvases) -> Numbers:
    """[N, D]."""
    places = np.split(np.arange(len(images)), range(BATCH, len(images), BATCH))
    return np.concatenate([describe(images.read(some).numpy()) for some in places])


def fitted(described: Numbers, patients: NDArray[np.str_]) -> dict[str, Any]:
    """Mean, factor and threshold, as the card has them.

    The threshold is a quantile of distances by cross-fitting: each fifth of the patients from the mean and covariance
    of the others.

    Parameters
    ----------
    described, patients
        [N, D] features, and whose each image is, [N].
    """
    names, whose = np.unique(patients, return_inverse=True)
    if len(names) < FOLDS:
        raise TrainingError(f"wanted images of at least {FOLDS} patients, got {len(names)}")
    fold = np.random.default_rng(0).permutation(len(names))[whose] % FOLDS
    held_out = np.concatenate([
        distances(described[fold == part], gaussian(described[fold != part])) for part in range(FOLDS)
    ])  # fmt: skip
    threshold = rounded(np.quantile(held_out, QUANTILE))
    return {**gaussian(described), "quantile": QUANTILE, "threshold": float(threshold)}


def gaussian(described: Numbers) -> dict[str, Any]:
    """`mean` and `factor`, as the card has them, with the shrinkage of Ledoit and Wolf (2004)."""
    estimate: Any = LedoitWolf().fit(described)  # type: ignore[no-untyped-call]
    factor = np.linalg.inv(np.linalg.cholesky(estimate.covariance_))
    rows = [rounded(row[: place + 1]).tolist() for place, row in enumerate(factor)]
    return {"mean": rounded(estimate.location_).tolist(), "factor": rows}


def distances(described: Numbers, typical: dict[str, Any]) -> Numbers:
    """[N] Mahalanobis distances of [N, D] features, from `mean` and `factor`."""
    size = len(typical["mean"])
    factor = np.zeros((size, size))
    factor[np.tril_indices(size)] = np.concatenate(typical["factor"])
    return np.asarray(np.linalg.norm((described - typical["mean"]) @ factor.T, axis=1))


def false_alarms(source: str, flagged: NDArray[np.bool_], collections: NDArray[np.str_]) -> list[dict[str, Any]]:
    """Share flagged of all images and of each collection, with a Clopper-Pearson interval."""
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


def rounded(values: Any) -> Numbers:
    """To so many significant digits that the rounding moves no distance by more than a few millionths."""
    return np.asarray(np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[np.float64])(values))

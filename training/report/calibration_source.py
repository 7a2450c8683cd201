"""The predictions that calibrate a run: of its folds, or on the images that it kept apart."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.agcnn import AgcnnConfig
from training.data.examples import count_examples, require_examples
from training.data.sources import image_names, read
from training.errors import TrainingError
from training.evaluation import predictions
from training.evaluation.assessment import out_of_fold_part, readings
from training.evaluation.predictions import Predictions
from training.evaluation.scores import Part
from training.fit import checkpoint
from training.fit.lineage import PLAN, earlier_patients, require_trained
from training.fit.run import HELD_OUT

VALIDATION = "validation"


@dataclass(frozen=True)
class CalibrationSource:
    """Predictions on images that were not trained on.

    Attributes
    ----------
    name
        Where they come from, for the documents, such as `validation, chestxray14 val`.
    part
        The images, as they are scored.
    """

    name: str
    part: Part

    @property
    def predictions(self) -> Predictions:
        """The predictions of the part."""
        return self.part.predictions


def from_folds(folds: Sequence[Path], data: str, collection: str, second_look: bool) -> CalibrationSource:
    """Read the held-out predictions of finished folds."""
    held_out = [held_out_predictions(fold, second_look) for fold in folds]
    require_findings(predictions.pool(held_out), "held-out images of the folds")
    part = out_of_fold_part(held_out, collection)
    return CalibrationSource(f"out-of-fold, {data} train+val", part)


def from_run(run: Path, folders: Sequence[Path], second_look: bool) -> CalibrationSource | None:
    """Read a run's predictions on the validation lists of folders or, if it is a fold, on what it held out of them.

    An adopted run states in its document which images these are, as it was trained on none of train and val.

    They are scored without calibration, which is fitted on all of them. None if the run was trained on train and val.

    Raises
    ------
    TrainingError
        The run held out no image of these folders, or `held_out_predictions` refuses it.
    """
    if not (run / HELD_OUT).is_file():
        return None
    predicted, fold = held_out_predictions(run, second_look), fold_of(run)
    data = " + ".join(folder.name for folder in folders)
    adopted = checkpoint.read_json(run / checkpoint.DOCUMENT).get("held_out")
    if adopted is None:
        predicted = within_lists(run, predicted, folders, "val" if fold is None else "train+val")
    if fold is None:
        split, images = VALIDATION, adopted or f"{data} val"
    else:
        split, images = f"held-out part {fold[0] + 1} of {fold[1]}", f"{data} train+val"
    require_findings(predicted, f"{split}, {images}")
    part = Part(split, predicted, readings(predicted, None))
    return CalibrationSource(f"{split}, {images}", part)


def within_lists(run: Path, predicted: Predictions, folders: Sequence[Path], split: str) -> Predictions:
    """Return the predictions for the images that one of the folders has in a split.

    A run on several folders names its images after their folder, see `joined_canvases`.
    """
    size = checkpoint.read_json(run / checkpoint.DOCUMENT)["network"]["canvas_size"]
    cases = [(folder, case) for folder in folders for case in read(folder, split, size).cases]
    listed = set[str]().union(*(image_names(folder, case.image) for folder, case in cases))
    chosen = np.flatnonzero([case.image in listed for case in predicted.cases])
    if not len(chosen):
        raise TrainingError(
            f"{run}: it held out no image of {split} of {', '.join(map(str, folders))}; give the folder that it was "
            "trained on with --data, and other folders with --also"
        )
    return predicted.subset(chosen)


def require_findings(predicted: Predictions, images: str) -> None:
    """Refuse to score images of which no finding is known, see `require_examples`."""
    require_examples(count_examples(predicted.targets, predicted.labels), images)


def held_out_predictions(run: Path, second_look: bool = True) -> Predictions:
    """Read a run's predictions on its held-out images, or those of its global branch alone.

    Patients on whom its starting weights or teachers were trained are left out.

    Raises
    ------
    TrainingError
        None is left, or a part of the network was never trained.
    """
    require_trained(run, second_look)
    held_out, earlier = predictions.load(run / HELD_OUT), earlier_patients(run)
    unseen = np.flatnonzero([patient not in earlier for patient in held_out.patients])
    if not len(unseen):
        raise TrainingError(f"{run}: --init or --teacher was trained on every patient that it held out")
    chosen = held_out.subset(unseen)
    return chosen if second_look else predictions.without_second_look(chosen)


def check_folds(folds: Sequence[Path], run: Path | None) -> None:
    """Check that the folds are folds, so that nothing else is called out-of-fold.

    Raises
    ------
    TrainingError
        One of them is the run itself, or was trained without `--fold`: its held-out images are the validation list,
        which selected its epochs.
    """
    for fold in folds:
        if run is not None and fold.resolve() == run.resolve():
            raise TrainingError(
                f"{fold}: --fold and --run name the same run; leave out --fold to calibrate it on its held-out images"
            )
        if (fold / PLAN).is_file() and fold_of(fold) is None:
            raise TrainingError(
                f"{fold}: it was trained without --fold, so that its held-out images are validation, not out-of-fold; "
                "evaluate it with --run"
            )


def check_source(runs: Sequence[Path], document: dict[str, Any], test_patients: Collection[str]) -> None:
    """Check that the held-out images of runs can calibrate the run of a document, if they have any.

    Raises
    ------
    TrainingError
        A run has another network or other labels, or held out a patient of the test list.
    """
    for run in runs:
        other = checkpoint.read_json(run / checkpoint.DOCUMENT)
        # Documents of older versions lack fields that have defaults since.
        if AgcnnConfig(**other["network"]) != AgcnnConfig(**document["network"]):
            raise TrainingError(f"{run}: its network differs from the run's, so it cannot calibrate it")
        if checkpoint.labels_of(other) != checkpoint.labels_of(document):
            raise TrainingError(f"{run}: its labels differ from the run's, so it cannot calibrate it")
        held_out = predictions.load(run / HELD_OUT).patients if (run / HELD_OUT).is_file() else ()
        if shared := set(held_out).intersection(test_patients):
            raise TrainingError(f"{run}: {len(shared)} patients that it held out are in the test list too")


def fold_of(run: Path) -> tuple[int, int] | None:
    """Return (k, n) of a run that is part k, counted from 0, of n folds; None for other runs."""
    fold = checkpoint.read_json(run / PLAN).get("fold") if (run / PLAN).is_file() else None
    return None if fold is None else (fold[0], fold[1])

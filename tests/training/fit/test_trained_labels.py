from dataclasses import replace
from pathlib import Path

import numpy as np

from model.labels import LABELS
from tests.training.cases import cases
from training.data.cache import Canvases
from training.fit import checkpoint
from training.fit.trained_labels import untrained_labels


def images(*rows: list[float]) -> Canvases:
    return Canvases("own", np.zeros((len(rows), 8, 8), np.uint8), np.arange(len(rows)), cases(np.array(rows)))


def test_a_label_without_a_positive_is_untrained() -> None:
    none = [np.nan] + [0.0] * 13  # Atelectasis unknown, Mass absent
    seen = images([1.0] * 4 + [0.0] + [1.0] * 9, none)
    assert untrained_labels(seen, []) == ("Mass",)
    assert untrained_labels(images(none, none), []) == LABELS
    own = tuple(f"finding {number}" for number in range(14))
    assert untrained_labels(replace(seen, labels=own), []) == ("finding 4",)


def test_labels_that_an_earlier_run_states_as_seen_are_trained(tmp_path: Path) -> None:
    nothing = images([0.0] * 14)
    folders = [tmp_path / name for name in ("stated", "older", "published")]
    for folder in folders:
        folder.mkdir()
    checkpoint.write_json(folders[0] / "run.json", {"labels": ["Cyst", "Mass", "Edema"], "untrained": ["Edema"]})
    checkpoint.write_json(folders[1] / "run.json", {"config": {}})
    assert set(LABELS) - set(untrained_labels(nothing, folders)) == {"Mass"}

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from model.labels import LABELS
from training.errors import TrainingError
from training.fit import checkpoint
from training.fit.claim import claim, precision_before
from training.fit.config import TrainConfig
from training.fit.lineage import PLAN
from training.fit.loop import LAST


def planned(config: TrainConfig, **places: object) -> dict[str, Any]:
    return {"config": asdict(config), "split": "train", "fold": None, "data": "/data", **places}


@pytest.fixture
def begun(small: TrainConfig, tmp_path: Path) -> Path:
    """The folder of a run that has finished an epoch."""
    claim(tmp_path / "run", planned(small), resume=False)
    (tmp_path / "run" / LAST).touch()
    return tmp_path / "run"


def test_a_file_at_the_path_of_the_run_is_refused(small: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(TrainingError, match="run: File exists"):
        claim(tmp_path / "run", planned(small), resume=False)


@pytest.mark.parametrize("changes", [{"workers": 1}, {"accelerator": "cpu"}])
def test_a_run_can_be_resumed_elsewhere(small: TrainConfig, begun: Path, changes: dict[str, Any]) -> None:
    claim(begun, planned(replace(small, **changes)), resume=True)


def test_a_run_of_an_earlier_version_can_be_resumed(small: TrainConfig, begun: Path) -> None:
    document = checkpoint.read_json(begun / PLAN)
    for name in ("accelerator", "deterministic"):
        del document["config"][name]
    checkpoint.write_json(begun / PLAN, document)
    claim(begun, planned(small), resume=True)
    with pytest.raises(TrainingError, match=r"another configuration \(deterministic\)"):
        claim(begun, planned(replace(small, deterministic=True)), resume=True)


def test_the_precision_of_a_run_is_that_of_its_first_epoch(small: TrainConfig, begun: Path) -> None:
    assert precision_before(begun) == "32-true"
    (begun / LAST).unlink()
    assert precision_before(begun) is None


def test_a_run_is_resumed_with_its_own_labels_only(small: TrainConfig, begun: Path) -> None:
    claim(begun, planned(small, labels=LABELS), resume=True)  # a plan of an older version states none
    with pytest.raises(TrainingError, match=r"another configuration \(labels\)"):
        claim(begun, planned(small, labels=("Effusion", "Fracture")), resume=True)

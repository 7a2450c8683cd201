import json
from dataclasses import replace
from pathlib import Path

from model.labels import LABELS
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.fit.plan import Plan, planned_document


def test_a_plan_names_its_folders_and_its_policy_where_they_are_not_the_default(
    small: TrainConfig, tmp_path: Path
) -> None:
    plan = Plan(tmp_path / "one", tmp_path / "cache")
    alone = planned_document(plan, small, LABELS)
    assert {"further", "uncertain", "without"}.isdisjoint(alone)
    both = planned_document(replace(plan, further=(tmp_path / "two",), uncertain="ones"), small, LABELS)
    document = json.loads(json.dumps(checkpoint.plain(both)))
    assert (document["further"], document["uncertain"]) == ([str((tmp_path / "two").resolve())], "ones")
    assert document["labels"] == list(LABELS)

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.training.cases import cases, predicted
from training.cli.app import app
from training.evaluation import predictions
from training.fit import checkpoint


def agcnn(*words: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, words)])


def evaluated(run: Path, seed: int, images: int = 40, **changes: Any) -> Path:
    """A run folder as `agcnn evaluate` leaves it, as far as the comparison reads it."""
    run.mkdir(parents=True)
    generator = np.random.default_rng(0)
    targets = (generator.random((images, 14)) < 0.5).astype(float)
    noise = np.random.default_rng(seed).normal(size=(3, images, 14))
    predictions.save(run / "test.npz", predicted(noise + targets, cases(targets)))
    config = {"seed": seed, "workers": seed, "tau": 0.7} | changes
    data = [{"name": "tiny train", "images": 24, "patients": 12, "role": "stages global"}]
    document = {"network": {"backbone": "squeezenet1_1"}, "config": config, "training_data": data}
    checkpoint.write_json(run / "run.json", document)
    return run


def test_runs_that_differ_in_the_seed_alone_are_one_system(tmp_path: Path) -> None:
    runs = [evaluated(tmp_path / name, seed) for name, seed in (("a1", 1), ("a2", 2))]
    runs.append(evaluated(tmp_path / "b", 1, tau=0.5))
    answer = agcnn(*runs, "--out", tmp_path / "table.md")
    assert answer.exit_code == 0, answer.output
    text = (tmp_path / "table.md").read_text()
    assert text == answer.output.removesuffix("\n")
    assert "Comparison of 2 systems" in text
    assert f"- A (baseline): `{runs[0]}`, `{runs[1]}`: tau 0.7\n- B: `{runs[2]}`: tau 0.5\n" in text
    assert "fusion branch on test: 40 images of 40 patients" in text
    (first, second) = [line.split(" | ") for line in text.splitlines() if line.startswith(("| A |", "| B |"))]
    assert (first[1], second[1]) == ("2", "1")
    assert (first[-1].strip(" |"), second[3], second[4]) == ("", "n/a", "n/a")
    assert float(first[4].split(" to ")[0]) <= float(first[2].split()[0]) <= float(first[4].split(" to ")[1])
    assert second[5].startswith(("+", "-"))
    assert len([line for line in text.splitlines() if line.startswith("| Pleural_Thickening |")]) == 1


@pytest.mark.parametrize(
    ("seeds", "images", "message"),
    [((1, 1), (40, 40), "has the same configuration and seed"), ((1, 2), (40, 39), "other test images: 39 and 40")],
)
def test_what_cannot_be_compared_gives_one_line(
    tmp_path: Path, seeds: tuple[int, int], images: tuple[int, int], message: str
) -> None:
    runs = [evaluated(tmp_path / str(place), *each) for place, each in enumerate(zip(seeds, images, strict=True))]
    answer = agcnn(*runs)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert message in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_run_that_was_not_evaluated_and_a_file_that_cannot_be_written_give_one_line(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run", 1)
    unwritable = agcnn(run, "--out", tmp_path / "absent" / "table.md")
    assert (unwritable.exit_code, "No such file" in unwritable.stderr) == (2, True)
    (run / "test.npz").unlink()
    answer = agcnn(run)
    assert (answer.exit_code, "test.npz" in answer.stderr) == (2, True)

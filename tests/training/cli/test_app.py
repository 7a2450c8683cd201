import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from model.branch import BACKBONES
from tests.training.few_resamples import few_resamples
from training.cli.app import app
from training.errors import TrainingError
from training.export.export import ExportReport
from training.fit.config import TrainConfig

QUICK = ["--canvas-size", "64", "--input-size", "32", "--epochs", "1,1,1", "--threads", "1", "--workers", "0"]


def agcnn(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_from_a_folder_to_a_card(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    folds = []
    for number in (1, 2):
        out = tmp_path / "runs" / f"fold{number}"
        answer = agcnn("train", "--data", published, "--out", out, "--fold", f"{number}/2", *QUICK)
        assert answer.exit_code == 0, answer.output
        folds += ["--fold", out]
    final = tmp_path / "runs" / "final"
    assert agcnn("train", "--data", published, "--out", final, *QUICK).exit_code == 0
    alone = agcnn("evaluate", "--data", published, *folds, "--collection", "B")
    assert alone.exit_code == 0, alone.output
    assert "out-of-fold, train+val, collection B" in alone.output
    assert re.search(r"\btest\b", alone.output) is None
    both = agcnn("evaluate", "--data", published, *folds, "--collection", "B", "--run", final)
    assert both.exit_code == 0, both.output
    assert "calibrated on: out-of-fold, tiny train+val, collection B, " in both.output
    assert "test, 8 images, fusion: macro AUROC n/a over 0 findings" in both.output  # none has ten positives
    card = json.loads((final / "card.json").read_text())
    assert len(card["operating_points"]) == 14
    assert (tmp_path / "runs" / "cache").is_dir()


def test_external_sets_need_a_run(published: Path) -> None:
    answer = agcnn("evaluate", "--data", published, "--fold", published, "--also", published)
    assert (answer.exit_code, answer.stderr) == (2, "agcnn: --also needs --run: folds have no network for other sets\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --run, --fold, or both"),
        (["--run", "x", "--prevalence", "Mass"], "expected a label and a share, such as Mass=0.05, got 'Mass'"),
        (["--run", "x", "--prevalence", "Mass=5"], "expected a share between 0 and 1, got 'Mass=5'"),
    ],
)
def test_evaluation_of_nothing_or_with_an_invalid_prevalence_gives_one_line(
    published: Path, words: list[str], message: str
) -> None:
    answer = agcnn("evaluate", "--data", published, *words)
    assert (answer.exit_code, message in answer.stderr, len(answer.stderr.splitlines())) == (2, True, 1), answer.stderr


def test_a_second_run_needs_resume(published: Path, tmp_path: Path) -> None:
    words = ["train", "--data", published, "--out", tmp_path / "run", "--stages", "global", *QUICK]
    assert agcnn(*words).exit_code == 0
    refused = agcnn(*words)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    assert agcnn(*words, "--resume").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fold", "5/4"], "expected K/N"),
        (["--fold", "one"], "expected K/N"),
        (["--epochs", "1,2,x"], "expected numbers"),
        (["--stages", "first"], "got 'first'"),
        (["--init", "absent.safetensors"], "absent.safetensors"),
        (["--init", "absent.npz"], "absent.npz"),
        (["--config", "absent.toml"], "absent.toml"),
    ],
)
def test_an_invalid_option_or_file_gives_one_line(
    published: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    answer = agcnn("train", "--data", published, "--out", tmp_path / "run", *QUICK, *words)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        ("recipe", ["modern", "paper", "shipped"]),
        ("split", ["train", "train+val"]),
        ("backbone", sorted(BACKBONES)),
        ("optimiser", ["adamw", "sgd"]),
        ("schedule", ["cosine", "step"]),
        ("pooling", ["max", "average"]),
        ("statistic", ["max", "l1", "l2"]),
        ("crop-from", ["canvas", "input"]),
        ("select", ["best", "last"]),
        ("precision", ["auto", "32-true", "bf16-mixed", "16-mixed"]),
        ("accelerator", ["auto", "cpu", "cuda"]),
    ],
)
def test_an_unknown_value_of_an_option_is_refused_with_the_choices(
    published: Path, tmp_path: Path, option: str, choices: list[str]
) -> None:
    answer = agcnn("train", "--data", published, "--out", tmp_path / "run", f"--{option}", "vgg")
    assert answer.exit_code == 2
    assert "'vgg' is not one of " + ", ".join(f"'{choice}'" for choice in choices) in answer.stderr
    assert not (tmp_path / "run").exists()


def test_help_names_the_choices_of_an_option() -> None:
    text = agcnn("train", "--help").output
    for choice in (*BACKBONES, "modern|paper|shipped", "max|l1|l2", "adamw|sgd", "cosine|step", "best|last"):
        assert choice in text
    assert "--findings-only" in text
    assert "--no-no-finding" not in text


@pytest.mark.parametrize(("option", "expected"), [("--no-finding", True), ("--findings-only", False)])
def test_no_finding_can_be_switched_on_and_off(
    monkeypatch: pytest.MonkeyPatch, published: Path, tmp_path: Path, option: str, expected: bool
) -> None:
    trained: list[TrainConfig] = []
    monkeypatch.setattr("training.fit.run.train", lambda plan, config, *_: trained.append(config))
    words = ["--data", published, "--out", tmp_path / "run", "--recipe", "paper"]
    assert agcnn("train", *words, option).exit_code == 0
    assert trained[0].no_finding is expected


def test_options_override_the_file(published: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('seed = 3\nbatch_sizes = [5, 5, 5]\nstages = ["global"]\n')
    words = ["--config", tmp_path / "run.toml", "--seed", "4", "--out", tmp_path / "run"]
    assert agcnn("train", "--data", published, *words, *QUICK).exit_code == 0
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (config["seed"], config["batch_sizes"], config["stages"]) == (4, [5, 5, 5], ["global"])


def test_a_folder_without_data_gives_one_line(tmp_path: Path) -> None:
    answer = agcnn("train", "--data", tmp_path, "--out", tmp_path / "run")
    assert (answer.exit_code, "no Data_Entry_2017_v2020.csv" in answer.stderr) == (2, True)


def test_adjudicated_labels_without_a_run_are_refused(published: Path, tmp_path: Path) -> None:
    answer = agcnn("evaluate", "--data", published, "--fold", tmp_path, "--adjudicated", tmp_path / "labels.csv")
    assert (answer.exit_code, "name a run with --run" in answer.stderr) == (2, True)


def test_export_of_a_run_that_was_not_evaluated_gives_one_line(published: Path, tmp_path: Path) -> None:
    answer = agcnn("export", "--run", tmp_path, "--data", published, "--out", tmp_path / "x.onnx")
    assert (answer.exit_code, "not a finished run" in answer.stderr) == (2, True)


@pytest.mark.parametrize(("fewest", "images"), [(8, 8), (24, 24)])
def test_export_also_uses_train_if_val_is_small(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fewest: int, images: int
) -> None:
    assert agcnn("train", "--data", published, "--out", tmp_path / "run", "--stages", "global", *QUICK).exit_code == 0
    (tmp_path / "run" / "metrics.json").write_text("{}")  # evaluated, but there was nothing to calibrate on
    refused = agcnn("export", "--run", tmp_path / "run", "--data", published, "--out", tmp_path / "x.onnx")
    assert (refused.exit_code, "it is not calibrated" in refused.stderr) == (2, True)
    for name, document in (("card", {}), ("calibration", {"slope": [], "bias": []})):
        (tmp_path / "run" / f"{name}.json").write_text(json.dumps(document))
    counted: list[int] = []

    def fake_export(*arguments: Any) -> ExportReport:
        counted.append(len(arguments[3]))
        return ExportReport(0.0, 0.0, 0.0, 1)

    monkeypatch.setattr("training.export.export.MIN_IMAGES", fewest)
    monkeypatch.setattr("training.export.export.export", fake_export)
    answer = agcnn("export", "--run", tmp_path / "run", "--data", published, "--out", tmp_path / "x.onnx")
    assert (answer.exit_code, counted) == (0, [images]), answer.output


def test_help_names_every_command() -> None:
    text = agcnn("--help").output
    for command in ("train", "adopt", "evaluate", "export", "typical", "check", "phantom"):
        assert command in text


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch, published: Path, tmp_path: Path) -> None:
    monkeypatch.setattr("training.fit.run.train", lambda *_: 1 / 0)
    answer = agcnn("train", "--data", published, "--out", tmp_path / "run")
    assert isinstance(answer.exception, ZeroDivisionError)
    assert not isinstance(answer.exception, TrainingError)

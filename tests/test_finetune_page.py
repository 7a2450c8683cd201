"""The commands of `docs/finetune.md`, run unchanged on a folder of tiny images."""

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from model.labels import LABELS
from service.cli import app as service
from tests.conftest import ROOT
from tests.factories import dicom_bytes, noise
from tests.training.few_resamples import few_resamples
from training.cli import app as training
from training.export.export import MIN_IMAGES
from training.fit.artefact_weights import read_artefact

PAGE = (ROOT / "docs" / "finetune.md").read_text(encoding="utf-8")
SETTINGS = re.search(r"^ {4}backbone = .*\n(?: {4}\w+ = .*\n)+", PAGE, re.MULTILINE)
COMMANDS = re.findall(r"^ {4}((?:TRIAGE_\S+ )?(?:agcnn|triage) .*)$", PAGE, re.MULTILINE)
TINY = {
    "canvas_size": "64",
    "input_size": "32",
    "epochs": "[1, 1, 1]",
}
SIZES = {"train": 24, "val": MIN_IMAGES, "test": 12}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the page's commands run, with `mine`, the shipped artefact and `finetune.toml`."""
    monkeypatch.chdir(tmp_path)
    few_resamples(monkeypatch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images = tmp_path / "mine" / "images" / "2024"
    images.mkdir(parents=True)
    rows = ["image,patient,split,sex,age,view,Effusion,Nodule,Pneumothorax"]
    for number, split in enumerate(split for split, size in SIZES.items() for _ in range(size)):
        name = f"{number + 1:04d}.{'png' if number else 'dcm'}"
        rows.append(
            f"2024/{name},p{number},{split},{'FM'[number % 2]},{40 + number % 30},PA,{number % 2},{'10u'[number % 3]},"
        )
        if number:
            Image.fromarray(noise(48, 40, 8, number)).save(images / name)
        else:
            (images / name).write_bytes(dicom_bytes(noise(256, 256)))
    (tmp_path / "mine" / "labels.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "service" / "assets").mkdir(parents=True)
    shutil.copy(ROOT / "service" / "assets" / "agcnn.onnx", tmp_path / "service" / "assets")
    assert SETTINGS
    settings = "\n".join(line.strip() for line in SETTINGS[0].splitlines())
    for name, value in TINY.items():
        settings, changed = re.subn(rf"(?m)^{name} = [^#\n]*", f"{name} = {value} ", settings)
        assert changed == 1
    (tmp_path / "finetune.toml").write_text(f"{settings}\nthreads = 1\nworkers = 0\n")
    yield tmp_path
    torch.set_num_threads(threads)


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run one command in this process and return its exit status."""
    with monkeypatch.context() as patch:
        words = shlex.split(command)
        while "=" in words[0]:
            patch.setenv(*words.pop(0).split("=", 1))
        patch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as caught:
            {"agcnn": training, "triage": service}[words[0]].main()
    return int(caught.value.code or 0)


@pytest.mark.timeout(600)
def test_every_command_succeeds_and_writes_what_the_page_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [command for command in COMMANDS if not command.endswith("triage serve")]  # it runs until it is stopped
    assert [shlex.split(command)[1] for command in commands if command.startswith("agcnn")] == [
        *("check", "train", "train", "train", "train", "train", "evaluate", "export")
    ]
    for command in commands:
        assert run(command, monkeypatch) == 0, command
    assert (folder / "mine.onnx").is_file()
    assert (folder / "runs" / "final" / "report.html").is_file()


def test_its_example_of_a_table_can_be_read(tmp_path: Path) -> None:
    from training.data.folder_dataset import split_cases

    example = re.search(r"with commas:\n\n((?: {4}.*\n)+)", PAGE)
    assert example
    (tmp_path / "labels.csv").write_text(re.sub(r"(?m)^ {4}", "", example[1]))
    splits = split_cases(tmp_path)
    assert {split: len(cases) for split, cases in splits.items()} == {"train": 2, "val": 0, "test": 1}
    assert splits["train"][0].findings[LABELS.index("Effusion")] == 1.0


def test_every_file_it_names_exists() -> None:
    names = re.findall(r"`((?:docs|model|training)/[\w./]+)`", PAGE)
    missing = {name for name in names if not (ROOT / name).exists()}
    assert missing <= {"docs/training.md"}


def test_its_settings_are_those_of_the_shipped_network() -> None:
    assert SETTINGS
    settings = tomllib.loads(re.sub(r"(?m)^ {4}", "", SETTINGS[0]))
    _, card = read_artefact(ROOT / "service" / "assets" / "agcnn.onnx")
    network = card["network"] | card["preprocessing"]
    for name in ("backbone", "pooling", "canvas_size", "input_size"):
        assert settings[name] == network[name], name

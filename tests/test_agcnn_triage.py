"""The installed commands import this project's packages, whatever else is called `service`, `model` or `training`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

BIN = Path(sys.executable).parent
PACKAGES = ("service", "model", "training")
PLACES = ("both", "current directory", "PYTHONPATH")  # where a command meets the foreign packages
# That `triage` starts is tested in every place, the longer commands in the first, which has what the others have.
longer = pytest.mark.parametrize(
    "place", [PLACES[0], *(pytest.param(place, marks=pytest.mark.soak) for place in PLACES[1:])], indirect=True
)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with packages of the same names, none of which can be imported."""
    folder = tmp_path / "foreign"
    for name in PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise RuntimeError('a foreign package was imported')\n")
    return folder


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, foreign: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Current directory and environment of a command that meets the foreign packages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRIAGE_"))}
    environment["TRIAGE_STORAGE__FOLDER"] = str(tmp_path / "data")
    if request.param != "current directory":
        environment["PYTHONPATH"] = str(foreign)
    return (tmp_path if request.param == "PYTHONPATH" else foreign), environment


def run(command: list[str], place: tuple[Path, dict[str, str]]) -> str:
    cwd, environment = place
    process = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_the_foreign_packages_would_be_imported_otherwise(foreign: Path) -> None:
    command = [sys.executable, "-c", "from service.cli.app import main"]
    environment = os.environ | {"PYTHONPATH": str(foreign)}

    process = subprocess.run(command, cwd=foreign, env=environment, capture_output=True, text=True, check=False)

    assert "a foreign package was imported" in process.stderr


def test_triage_starts(place: tuple[Path, dict[str, str]]) -> None:
    assert run([str(BIN / "triage"), "--version"], place).strip().count(".") == 2


@longer
def test_triage_predicts_with_its_decoder_processes(place: tuple[Path, dict[str, str]]) -> None:
    answer = run([str(BIN / "triage"), "predict", "--json", str(ROOT / "samples" / "normal.dcm")], place)

    assert len(json.loads(answer)["prediction"]["findings"]) == 14


@longer
def test_agcnn_works_with_its_worker_processes(place: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    out = tmp_path / "phantoms"

    run([str(BIN / "agcnn"), "phantom", "--out", str(out), "--count", "4", "--size", "256", "--workers", "2"], place)

    assert (out / "labels.csv").exists()


def test_other_python_settings_and_arguments_are_kept(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(
        "import os, sys, agcnn_triage\n"
        "agcnn_triage._restart_without_foreign_paths()\n"
        "print(sys.flags.safe_path, sys.flags.dev_mode, os.environ.get('PYTHONPATH'), sys.argv[1:])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    for options in (["-X", "dev"], ["-E", "-X", "dev"]):
        command = [sys.executable, *options, str(script), "a b", "--c"]
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert process.stdout == "True True None ['a b', '--c']\n"

from pathlib import Path

from pydicom import dcmread
from typer.testing import CliRunner, Result

from tests.training.folder import folder
from training.cli.app import app


def agcnn(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_phantoms_are_dicom_in_a_folder_to_train_on(tmp_path: Path) -> None:
    answer = agcnn("phantom", "--out", tmp_path / "p", "--count", 2, "--seed", 3, "--size", 256, "--findings", "Mass")
    assert (answer.exit_code, answer.output.splitlines()[-1]) == (0, f"{tmp_path / 'p'}: 2 phantoms")
    file = dcmread(tmp_path / "p" / "images" / "phantom_000001.dcm")
    assert (file.BitsStored, file.Rows) == (12, 256)
    assert agcnn("check", "--data", tmp_path / "p").exit_code == 0


def test_an_unknown_finding_gives_one_line(tmp_path: Path) -> None:
    answer = agcnn("phantom", "--out", tmp_path / "p", "--findings", "Nodul,Mass")
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (2, 1)
    assert not (tmp_path / "p").exists()


def test_check_names_what_is_refused_and_exits_2(tmp_path: Path) -> None:
    own = folder(tmp_path)
    answer = agcnn("check", "--data", own)
    assert answer.exit_code == 0
    assert answer.output.splitlines()[:2] == [f"{own}: labels.csv", "train: 2 images of 1 patients"]
    for name in ("4.png", "a/2.jpg"):
        (own / "images" / name).write_bytes(b"no picture")
    answer = agcnn("check", "--data", own)
    assert answer.exit_code == 2
    assert [line.split(" (")[0] for line in answer.stderr.splitlines()] == [
        "agcnn: a/2.jpg: image_unreadable",
        "agcnn: 4.png: image_unreadable",
    ]


def test_check_of_an_invalid_table_gives_one_line(tmp_path: Path) -> None:
    folder(tmp_path, "image,patient,Efusion", ["4.png,p,1"])
    answer = agcnn("check", "--data", tmp_path)
    assert (answer.exit_code, "unknown column 'Efusion'" in answer.stderr) == (2, True)
    assert len(answer.stderr.splitlines()) == 1

from pathlib import Path

from pydicom import dcmread
from typer.testing import CliRunner, Result

from tests.training.folder import folder
from training.cli.app import app
from training.data.sources import joined_canvases


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


def test_pack_decodes_each_folder_into_a_cache_of_its_own(tmp_path: Path) -> None:
    one, two = (folder(tmp_path / name) for name in ("one", "two"))
    words = ["pack", "--data", one, "--data", two, "--cache", tmp_path / "cache", "--canvas-size", 48]
    answer = agcnn(*words)
    assert answer.exit_code == 0, answer.stderr
    images = len((one / "labels.csv").read_text().splitlines()) - 1
    assert answer.output.splitlines() == [
        f"{tmp_path / 'cache' / name}: {images} canvases of 48 pixels" for name in ("one", "two")
    ]
    packed = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*/*.u8")}
    assert list(map(len, packed.values())) == [images * 48**2] * 2
    both = joined_canvases([one, two], "train", 48, tmp_path / "cache")
    assert len(both) > 0
    assert agcnn(*words).exit_code == 0
    assert {path: path.read_bytes() for path in packed} == packed  # nothing is decoded again, which would add rows


def test_pack_refuses_two_folders_of_one_name(tmp_path: Path) -> None:
    one, two = (folder(tmp_path / name / "set") for name in ("a", "b"))
    answer = agcnn("pack", "--data", one, "--data", two, "--cache", tmp_path / "cache")
    assert (answer.exit_code, "two folders are named set" in answer.stderr) == (2, True)

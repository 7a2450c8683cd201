import csv
import json
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from PIL import Image

from model.labels import LABELS
from service.cli import predict as batch
from service.errors import ConfigurationError
from tests.factories import dicom_bytes, noise
from tests.service.conftest import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two valid files of the same name, one that will be refused, and one that is not DICOM."""
    for number, name in enumerate(("one/chest.dcm", "two/chest.dcm")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(dicom_bytes(noise(300, 400, seed=number)))
    (tmp_path / "two" / "lateral").write_bytes(dicom_bytes(noise(), ViewPosition="LL"))
    (tmp_path / "two" / "read me.txt").write_text("not DICOM")
    return tmp_path


@pytest.fixture
def predict(run: Run, artefact: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `triage predict` with an unusable storage folder; return exit status, standard output and standard error."""
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    monkeypatch.setenv("TRIAGE_STORAGE__FOLDER", "/proc/nowhere")
    return lambda *arguments: run("predict", *map(str, arguments))


def test_a_file_is_described_in_words(predict: Run, folder: Path) -> None:
    code, out, err = predict(folder / "one" / "chest.dcm")

    assert (code, err) == (0, "")
    assert out.startswith("Research use only. Not a medical device.\n")
    assert all(label in out for label in LABELS)
    assert "Hernia" in out.splitlines()[-1]
    assert "no operating point" in out.splitlines()[-1]


def test_a_folder_is_printed_as_json_lines_in_order_with_pictures(predict: Run, folder: Path, tmp_path: Path) -> None:
    code, out, err = predict(
        "--json", "--overlay", tmp_path / "new" / "pictures", folder, folder / "two" / "read me.txt"
    )

    items = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert [Path(item["filename"]).name for item in items] == ["chest.dcm", "chest.dcm", "lateral", "read me.txt"]
    assert [item["status"] for item in items] == [200, 200, 422, 400]
    assert items[2]["problem"]["errors"][0]["code"] == "view_unsuitable"
    prediction = items[0]["prediction"]
    assert (prediction["id"], prediction["links"]) == (None, None)
    assert [finding["label"] for finding in prediction["findings"]] == list(LABELS)
    assert list(prediction["timings_ms"]) == ["read", "decode", "prepare", "queue", "infer", "store"]
    pictures = sorted((tmp_path / "new" / "pictures").iterdir())
    assert [picture.name for picture in pictures] == ["chest-2.png", "chest.png"]
    with Image.open(BytesIO(pictures[0].read_bytes())) as picture:
        assert (picture.width, picture.height > 300) == (400, True)  # the legend is below


def test_a_table_has_a_row_for_each_file(predict: Run, folder: Path) -> None:
    code, out, _ = predict("--csv", folder)

    rows = list(csv.DictReader(StringIO(out)))
    assert code == 1
    assert [row["status"] for row in rows] == ["200", "200", "422"]
    assert [row["code"] for row in rows] == ["", "", "view_unsuitable"]
    assert all(0 <= float(rows[0][label]) <= 1 for label in LABELS)
    assert rows[2]["Mass"] == ""


def test_a_table_has_the_code_of_every_reason(predict: Run, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(noise(), Modality="CT", ViewPosition="LL"))

    _, out, _ = predict("--csv", tmp_path)

    assert [row["code"] for row in csv.DictReader(StringIO(out))] == ["modality_unsuitable view_unsuitable"]


def test_each_file_has_a_picture_of_its_own(tmp_path: Path) -> None:
    files = [Path(name) for name in ("x/a.dcm", "y/a.dcm", "z/a-2.dcm", "z/a.dcm", "z/b.dcm")]

    pictures = [picture and picture.name for picture in batch._pictures(files, tmp_path)]

    assert pictures == ["a.png", "a-2.png", "a-2-2.png", "a-3.png", "b.png"]


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_prediction_is_printed_although_its_picture_cannot_be_written(
    predict: Run, folder: Path, tmp_path: Path, form: str
) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "chest.png").mkdir(parents=True)  # in the way

    code, out, err = predict(form, "--overlay", pictures, folder / "one", folder / "two" / "chest.dcm")

    assert code == 1
    if form == "--json":
        first, second = map(json.loads, out.splitlines())
        assert (first["status"], first["picture_problem"]["code"]) == (200, "unwritable")
        assert first["prediction"]["findings"]
        assert "picture_problem" not in second
    assert out.count("chest.dcm") == 2
    assert err == f"{folder / 'one' / 'chest.dcm'}: no picture (unwritable): Is a directory\n"
    assert (pictures / "chest-2.png").is_file()


@pytest.mark.parametrize("arguments", [("nowhere.dcm",), (".",), ("--overlay", "/proc/nowhere", "here.dcm")])
def test_an_error_at_the_start_is_one_line(
    predict: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    if "here.dcm" in arguments:
        (tmp_path / "here.dcm").touch()

    code, out, err = predict(*arguments)

    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("triage: ")


def test_two_output_formats_at_once_are_refused(predict: Run) -> None:
    code, _, err = predict("--json", "--csv", "x")

    assert code == 2
    assert "exclude each other" in err


def test_a_folder_gives_its_dicom_files(folder: Path) -> None:
    names = [str(file.relative_to(folder)) for file in batch.files([folder])]

    assert names == ["one/chest.dcm", "two/chest.dcm", "two/lateral"]
    with pytest.raises(ConfigurationError):
        batch.files([folder / "none"])

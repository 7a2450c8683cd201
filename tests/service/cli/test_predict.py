import csv
import json
import os
import pty
import select
import signal
import sys
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from PIL import Image

from model.labels import LABELS
from service.cli import formats
from service.cli.listing import files, overlays
from service.errors import ConfigurationError
from tests.factories import dicom_bytes, noise
from tests.service.conftest import Run

TRIAGE = Path(sys.executable).with_name("triage")


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

    (row,) = csv.DictReader(StringIO(out))
    assert row["code"] == "modality_unsuitable; view_unsuitable"
    assert "(0008,0060) Modality" in row["detail"]
    assert "(0018,5101) ViewPosition" in row["detail"]


def test_a_table_has_margin_and_separated_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [{"probability": 0.5}, {"probability": None}]
    prediction = {"priority": "STAT", "reason": ["Big Mass", "Edema"], "flags": ["a_flag", "b"], "findings": findings}

    formats.writer("csv", ["Big Mass", "Edema"])(
        {"filename": "a,b.dcm", "status": 200, "prediction": prediction, "margin": -0.25, "artefact_sha256": "f0"}
    )

    (row,) = csv.DictReader(StringIO(capsys.readouterr().out))
    assert row == {
        **{"filename": "a,b.dcm", "status": "200", "code": "", "detail": "", "priority": "STAT"},
        **{"margin": "-0.250000", "reason": "Big Mass; Edema", "flags": "a_flag; b"},
        **{"Big Mass": "0.500000", "Edema": "", "artefact_sha256": "f0"},
    }


def test_a_picture_is_predicted_only_if_it_is_assumed_to_be_a_chest(predict: Run, tmp_path: Path) -> None:
    Image.fromarray(noise(300, 400, bits=8)).save(tmp_path / "chest.png")
    Image.new("RGB", (400, 300), "red").save(tmp_path / "photograph.jpg")

    assert predict(tmp_path) == (2, "", "triage: no DICOM file found; --as-chest finds pictures, too\n")
    code, out, _ = predict("--json", "--as-chest", "--overlay", tmp_path / "drawn", tmp_path)

    picture, photograph = map(json.loads, out.splitlines())
    assert code == 1
    assert picture["prediction"]["flags"] == [
        *("assumed_chest", "body_part_missing", "view_position_missing", "presentation_intent_missing"),
        "low_resolution",
    ]
    assert (tmp_path / "drawn" / "chest.png").is_file()
    assert photograph["problem"]["code"] == "colour_image"


def test_interrupted_it_ends_after_a_whole_line_and_says_how_far_it_came(artefact: Path, tmp_path: Path) -> None:
    """In a terminal, after three files; the bar and the answers never share a line."""
    for number in range(400):  # more than a fast machine predicts before it is interrupted
        (tmp_path / f"{number}.dcm").write_bytes(dicom_bytes(noise(300, 400)))
    environment = os.environ | {
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "TERM": "xterm",
    }
    process, terminal = pty.fork()
    if process == 0:
        os.execve(TRIAGE, ["triage", "predict", "--json", str(tmp_path)], environment)

    raw, is_interrupted = b"", False
    while select.select([terminal], [], [], 120)[0]:
        try:
            raw += os.read(terminal, 2**16)
        except OSError:  # the other end is closed
            break
        if not is_interrupted and raw.count(b"prediction/1") >= 3:
            os.kill(process, signal.SIGINT)
            is_interrupted = True
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    text = raw.decode()
    parts = text.split("\x1b[2K")  # where the terminal's line is erased
    answers = [line for part in parts for line in part.splitlines() if line.startswith("{")]
    assert status == 130
    assert len([json.loads(answer) for answer in answers]) >= 3
    assert text.count("predicting") >= 3
    assert not any("predicting" in part and "{" in part for part in parts)
    assert f"triage: interrupted after {len(answers)} of 400 files" in text
    assert "error" not in text


def test_each_file_has_a_picture_of_its_own(tmp_path: Path) -> None:
    paths = [Path(name) for name in ("x/a.dcm", "y/a.dcm", "z/a-2.dcm", "z/a.dcm", "z/b.dcm")]

    pictures = [picture and picture.name for picture in overlays(paths, tmp_path)]

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


def test_where_the_triage_alone_is_shown_no_place_is_printed_or_drawn(
    predict: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [{"label": "Mass", "probability": 0.5, "threshold": None}]
    prediction = {"priority": "ROUTINE", "reason": [], "flags": [], "findings": findings, "box": None}
    formats.writer("words", ["Mass"])({"filename": "a.dcm", "status": 200, "prediction": prediction})
    assert "region" not in capsys.readouterr().out

    monkeypatch.setenv("TRIAGE_TRIAGE__PRESENTATION", "triage_only")
    (tmp_path / "here.dcm").touch()
    code, out, err = predict("--overlay", tmp_path / "pictures", tmp_path / "here.dcm")

    assert (code, out) == (2, "")
    assert err.startswith("triage: --overlay shows a place")
    assert not (tmp_path / "pictures").exists()


def test_two_output_formats_at_once_are_refused(predict: Run) -> None:
    code, _, err = predict("--json", "--csv", "x")

    assert code == 2
    assert "exclude each other" in err


def test_links_to_folders_are_followed_but_not_in_a_circle(folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "2024").symlink_to(folder / "one")
    (linked / "self").symlink_to(".")
    assert [str(file.relative_to(linked)) for file in files([linked])] == ["2024/chest.dcm"]


def test_a_folder_gives_its_dicom_files(folder: Path) -> None:
    names = [str(file.relative_to(folder)) for file in files([folder])]

    assert names == ["one/chest.dcm", "two/chest.dcm", "two/lateral"]
    with pytest.raises(ConfigurationError):
        files([folder / "none"])

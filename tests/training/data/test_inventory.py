from pathlib import Path

from model.labels import LABELS
from tests.factories import dicom_bytes, noise
from tests.training.folder import ROWS, folder
from training.data.inventory import inventory, summary
from training.data.sample import Case


def test_every_refused_file_is_named_at_once(tmp_path: Path) -> None:
    own = folder(tmp_path, rows=[*ROWS, "5.dcm,p5,test,,,,0,0", "6,p6,train,,,,0,0"])
    (own / "images" / "5.dcm").write_bytes(dicom_bytes(noise(256, 256), ViewPosition="LL"))
    (own / "images" / "6").write_bytes(b"no image")
    assert [line.split(" (")[0] for line in inventory(own, 2).refused] == ["6: not_dicom", "5.dcm: view_unsuitable"]


def test_a_folder_without_refused_files(tmp_path: Path) -> None:
    contents = inventory(folder(tmp_path), 1)
    assert contents.refused == ()
    assert {split: len(cases) for split, cases in contents.splits.items()} == {"train": 2, "val": 1, "test": 1}


def test_the_published_format_is_supported(published: Path) -> None:
    (published / "images" / "00000016_000.png").write_bytes(b"")
    contents = inventory(published, 2)
    assert [line.split(" (")[0] for line in contents.refused] == ["00000016_000.png: image_unreadable"]
    assert len(contents.splits["train"]) == 24


def test_the_summary_counts_images_patients_and_findings() -> None:
    none = (0.0,) * 13
    cases = [Case("1", "a", (1.0, *none)), Case("2", "a", (float("nan"), *none)), Case("3", "b", (0.0, *none))]
    lines = list(summary(LABELS, {"train": cases, "val": []}))
    assert lines[:2] == ["train: 3 images of 2 patients", "val: 0 images of 0 patients"]
    assert lines[3].split("  ")[0] == "Atelectasis"
    assert "1 / 1 / 1" in lines[3]
    assert "0 / 3 / 0" in lines[4]
    assert len(lines) == 2 + 1 + 14

from pathlib import Path

from bench import backfill
from service.dicom.reader import read


def test_the_archive_has_files_under_uids_of_their_own(tmp_path: Path) -> None:
    backfill.write_archive(tmp_path, 20, 256)
    uids = {str(read(path.read_bytes()).SOPInstanceUID) for path in tmp_path.rglob("*.dcm")}
    assert len(uids) == 20


def test_the_local_engine_is_compared_with_the_floor(tmp_path: Path) -> None:
    text = backfill.measure(backfill.arguments(["--files", "40", "--side", "256", "--engines", "local"]), tmp_path)
    assert "| local, decoder processes: 1 |" in text
    assert "| floor: " in text

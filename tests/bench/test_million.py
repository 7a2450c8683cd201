from pathlib import Path

from bench import million


def test_every_step_is_timed(tmp_path: Path) -> None:
    text = million.measure(million.arguments(["--images", "600", "--sets", "3", "--size", "16"]), tmp_path)
    assert text.startswith("600 images in 3 sets, 16 pixels")
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 11

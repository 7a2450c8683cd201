from pathlib import Path

import numpy as np

from bench import pack
from training.data import sources
from training.data.canvas_file import fill, open_file


def test_a_killed_command_goes_on_to_the_same_canvases(tmp_path: Path) -> None:
    data = pack.write_set(tmp_path / "set", 200, 256)

    done, added = pack.interrupted(data, tmp_path / "killed", 64, 200)
    sources.pack(data, 64, tmp_path / "whole")

    assert done >= 100
    assert done + added == 200
    killed, whole = (pack.canvases(data, tmp_path / name, 64) for name in ("killed", "whole"))
    assert (len(killed.rows), pack.digest(killed)) == (200, pack.digest(whole))


def test_a_digest_is_of_the_canvases_and_not_of_their_places_in_the_file(tmp_path: Path) -> None:
    def written(folder: Path, numbers: list[int], shift: int = 0) -> str:
        file = open_file(folder, 4)
        keys = [bytes([number]) * 16 for number in numbers]
        fill(file, keys, lambda place: np.full((1, 4, 4), (numbers[place] + shift) / 255, np.float32), 1)
        return pack.digest(file)

    assert written(tmp_path / "a", [0, 1, 2]) == written(tmp_path / "b", [2, 0, 1])
    assert written(tmp_path / "a", [0, 1, 2]) != written(tmp_path / "c", [0, 1, 2], 1)

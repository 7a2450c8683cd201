from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bench import machines
from training.fit import checkpoint


def finished(run: Path, weights: dict[str, np.ndarray]) -> Path:
    run.mkdir()
    save_file(weights, run / checkpoint.WEIGHTS)
    (run / checkpoint.DOCUMENT).write_text("{}")
    return run


def test_only_equal_weights_have_one_digest(tmp_path: Path) -> None:
    one, two = np.arange(3, dtype=np.float32), np.ones(2, np.float32)
    a = machines.digest(finished(tmp_path / "a", {"one": one, "two": two}))

    assert a == machines.digest(finished(tmp_path / "b", {"two": two, "one": one}))
    assert a != machines.digest(finished(tmp_path / "c", {"one": np.nextafter(one, 9), "two": two}))


def test_a_run_that_is_not_finished_has_none(tmp_path: Path) -> None:
    assert machines.digest(tmp_path) == "-"

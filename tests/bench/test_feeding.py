from pathlib import Path

import numpy as np

from bench import feeding
from bench.hours import PAGE

TABLE = """
| recipe | backbone | stage | Old, float32 | New, bfloat16, at least |
| --- | --- | --- | --- | --- |
| paper | a | global | 6.0 h, 182 images/s | 14 min, 4,685 images/s |
| paper | a | local | 8.0 h, 397 images/s | 19 min, 1,234 images/s |

after 99,999 images/s
"""


def test_the_most_of_each_gpu_is_taken_from_the_table_of_hours() -> None:
    assert feeding.needs(TABLE) == {"Old, float32": 397, "New, bfloat16": 4685}
    assert len(feeding.needs(PAGE.read_text())) >= 3


def test_images_are_read_from_a_cache_whose_file_was_thrown_out_of_memory(tmp_path: Path) -> None:
    canvases = feeding.write_cache(tmp_path, 100, 32)
    [path] = tmp_path.glob("*.u8")
    before = path.read_bytes()

    feeding.throw_out(path)

    assert feeding.rate(canvases, np.arange(100)[::-1].copy(), 0) > 0
    assert path.read_bytes() == before
    assert len({canvases.stored(np.array([row])).numpy().tobytes() for row in range(100)}) == 100

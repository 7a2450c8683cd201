"""Copy folders in ChestX-ray14's format with smaller images: `python -m bench.small_images SIDE OUT FOLDER...`.

Tables and lists are copied unchanged. Images are shrunk to SIDE by SIDE pixels at most and saved as grey JPEG, so that
they can be sent to a machine that is far away. The size of the copies is printed.
"""

import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

QUALITY = 90


def shrink(side: int, out: Path, image: Path) -> int:
    """Save a smaller copy of an image under its own stem; returns its size in bytes."""
    with Image.open(image) as opened:
        grey = opened.convert("L")
    if max(grey.size) > side:
        # Shrunk in float, as the canvas is: a rounding less.
        grey = (
            grey.convert("F")
            .resize((side, side), Image.Resampling.BILINEAR)
            .point(lambda value: value + 0.5)
            .convert("L")
        )
    copy = out / f"{image.stem}.jpg"
    grey.save(copy, quality=QUALITY)
    return copy.stat().st_size


def main() -> None:
    """Copy every folder, and print the number and size of its images."""
    side, out, folders = int(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]]
    for folder in folders:
        copies = out / folder.name / "images"
        copies.mkdir(parents=True, exist_ok=True)
        for table in (*folder.glob("*.csv"), *folder.glob("*_list.txt")):
            shutil.copy(table, copies.parent)
        with ProcessPoolExecutor() as pool:
            sizes = list(pool.map(partial(shrink, side, copies), sorted(folder.glob("images/*")), chunksize=64))
        print(f"{folder.name}: {len(sizes):,} images, {sum(sizes) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()

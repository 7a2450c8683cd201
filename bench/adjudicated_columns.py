"""Put the columns of a shifted table of adjudicated labels right: `python -m bench.adjudicated_columns IN DATA OUT`.

In such a table, made from Google Health's labels for ChestX-ray14, every value stands two columns to the right of its
name: the pixel spacing under Fracture and Pneumothorax, Fracture under Airspace opacity, Pneumothorax under Nodule or
mass, and Airspace opacity under Set Id; Nodule or mass itself is lost. That happens where the names that hold a comma,
`OriginalImage[Width,Height]` and `OriginalImagePixelSpacing[x,y]`, count as one column each. Such a table is known by
the pixel spacing, which must be that of the published table of the images, in DATA.
"""

import csv
import sys
from pathlib import Path

SHIFTED = ("Image Index", "Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass", "Set Id")
TRUE = ("Image Index", "x", "y", "Fracture", "Pneumothorax", "Airspace opacity")
KEPT = ("Image Index", "Fracture", "Pneumothorax", "Airspace opacity")
ENTRIES = "*/Data_Entry_2017_v2020.csv"
SPACING = ("OriginalImagePixelSpacing[x", "y]")  # in the header of ChestX-ray14 itself, unquoted


def spacings(folder: Path) -> dict[str, tuple[float, ...]]:
    """Pixel spacing of each image by the published tables in the folders of `folder`."""
    return {
        row["Image Index"]: tuple(float(row[name]) for name in SPACING)
        for path in sorted(folder.glob(ENTRIES))
        for row in csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    }


def realigned(table: Path, folder: Path) -> list[dict[str, str]]:
    """Rows with their true columns; stops if the table is not shifted in this way."""
    head, *lines = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
    if tuple(head) != SHIFTED:
        raise SystemExit(f"{table}: expected the columns {', '.join(SHIFTED)}")
    known, rows = spacings(folder), [dict(zip(TRUE, line, strict=True)) for line in lines]
    for row in rows:
        name = row["Image Index"]
        if any(abs(float(row[axis]) - true) > 1e-6 for axis, true in zip("xy", known[name], strict=True)):
            raise SystemExit(f"{table}: {name}: not the pixel spacing, so the table is not shifted by two columns")
    return rows


def main() -> None:
    """Write the table with its true columns."""
    table, folder, out = map(Path, sys.argv[1:])
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, KEPT, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(realigned(table, folder))
    print(f"{out}: {', '.join(KEPT[1:])}")


if __name__ == "__main__":
    main()

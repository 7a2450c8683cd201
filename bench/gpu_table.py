"""The table of bench/GPU.md, from the rows that a GPU measured."""

from pathlib import Path

from bench.gpu_rows import Row, read
from bench.scores import table

PAGE = Path(__file__).with_name("GPU.md")
COLUMNS = {
    "images_per_second": "images/s",
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "memory_mib": "memory, MiB",
    "probability": "difference of a probability",
    "box_pixels": "of a box, pixels",
}


def write(path: Path, page: Path = PAGE) -> int:
    """Write the page from the rows of a GPU; without them no figure is written."""
    rows = read(path)
    if "machine" not in rows:
        print(f"{path}: no GPU has measured anything yet; run bench/gpu.sh 1 and 2 on a machine that has one")
        return 2
    page.write_text(text(rows), encoding="utf-8")
    print(f"wrote {page}")
    return 0


def text(rows: dict[str, Row]) -> str:
    """Format the page."""
    machine = rows["machine"]
    about = (
        f"Measured by `bench/gpu.sh` on one {machine['device']} with {machine['processors']} processors; "
        f"torch {machine['torch']}, ONNX Runtime {machine['onnxruntime']}, CUDA {machine['cuda']}."
    )
    body = [[name, *(cell(row, column) for column in COLUMNS), share(name, rows)] for name, row in rows.items()]
    body = [
        each for each, row in zip(body, rows.values(), strict=True) if "images_per_second" in row or "failed" in row
    ]
    ceilings = [f"{name}: {values(row)}." for name, row in rows.items() if name.startswith(("ceiling", "golden"))]
    head = ["", *COLUMNS.values(), "share of the matrix product"]
    return "\n\n".join(["# On a GPU", about, "  \n".join(ceilings), table([head, *body])]) + "\n"


def cell(row: Row, column: str) -> str:
    """Format one figure of a row; the reason where it failed."""
    if "failed" in row:
        return str(row["failed"]) if column == "images_per_second" else ""
    value = row.get(column)
    if value is None:
        return ""
    return f"{value:.1e}" if column == "probability" else f"{value:,.5g}"


def share(name: str, rows: dict[str, Row]) -> str:
    """Format the share that a form of the network reaches of the measured speed of a product of matrices."""
    work = rows.get(f"{name.split(':')[0]}: work", {}).get("gflop")
    ceiling, speed = rows.get("ceiling: matrix product", {}), rows[name].get("images_per_second")
    if not work or not speed or "tflop_per_second" not in ceiling:
        return ""
    return f"{work * speed / 1000 / ceiling['tflop_per_second']:.1%}"


def values(row: Row) -> str:
    """Format what a row says besides its name and duration."""
    said = {name: value for name, value in row.items() if name not in ("name", "seconds")}
    return ", ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in said.items()
    )

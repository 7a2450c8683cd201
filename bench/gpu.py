"""The measurements of bench/gpu.sh, which prepares the machine: `python -m bench.gpu 1|2|rehearsal|write FOLDER`."""

import argparse
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.gpu_forms import Device

AGAIN = 75  # exit status: not finished, run the same command again; EX_TEMPFAIL of sysexits.h


def main() -> int:
    """Measure one part, or write the table."""
    # Imported here, as processes that decode import this module and need no torch.
    import torch

    from bench.gpu_network import measure_ceilings, measure_network
    from bench.gpu_rows import OutOfTime, Rows
    from bench.gpu_service import measure_golden, measure_service, measure_training
    from bench.gpu_table import write
    from service.settings import SHIPPED_ARTEFACT

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("1", "2", "rehearsal", "write"))
    parser.add_argument("folder", type=Path, help="folder of the results")
    parser.add_argument("--seconds", type=float, default=290, help="no row is begun in the last minute of them")
    parser.add_argument("--artefact", type=Path, action="append", help="default: the one that ships")
    said = parser.parse_args()
    said.folder.mkdir(parents=True, exist_ok=True)
    rehearsal = said.part == "rehearsal"
    path = said.folder / ("rehearsal.jsonl" if rehearsal else "gpu.jsonl")
    if said.part == "write":
        return write(path)
    device: Device = "cpu" if rehearsal else "cuda"
    if not rehearsal and not torch.cuda.is_available():
        sys.exit("no GPU that torch can use; --rehearse runs the same on the processor")
    rows, artefacts = Rows(path, time.monotonic() + said.seconds), said.artefact or [SHIPPED_ARTEFACT]
    try:
        rows.add("machine", lambda: machine(device))
        if said.part != "2":
            measure_ceilings(rows, device, rehearsal)
            for artefact in artefacts:
                measure_network(rows, artefact, device, rehearsal)
        if said.part != "1":
            measure_golden(rows, artefacts[0], device)
            measure_service(rows, artefacts[0], device, rehearsal)
            measure_training(rows, device, rehearsal)
    except OutOfTime as left:
        print(f"not finished, next is {left}: run the same command again")
        return AGAIN
    if rows.failed:
        print("failed, or with outputs that differ by more than is allowed:", *rows.failed, sep="\n  ")
    return bool(rows.failed)


def machine(device: "Device") -> dict[str, str | int]:
    """Describe the machine and what the measurements depend on."""
    import onnxruntime
    import torch

    from service.inference.provider import processors

    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "cuda": str(torch.version.cuda)}
    return {"device": name, "processors": processors(), **versions}


if __name__ == "__main__":
    sys.exit(main())

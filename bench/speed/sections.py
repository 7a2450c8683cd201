"""All sections, in the order of the page. A new one is added here, and its mark to bench/RESULTS.md."""

from bench.speed import archive, codecs, floor, machine, memory, open_loop, peers, start, throughput
from bench.speed.figure import Figure
from bench.speed.program import Printed, program

_OBJECTS = {"sr": "SR", "segmentation": "SEG", "secondary_capture": "SC"}
_SMALL = ("--height", "256", "--width", "256")
_NETWORK = ("--networks", "squeezenet1_1", "--batches", "1", "--threads", "1", "--rounds", "1")
_RATIOS = (("ORT f32", "torch eager", 1.3), ("ORT f32", "OpenVINO f32", 0.95), ("ORT INT8", "ORT f32", 1.5))
_FOLDER = (*_SMALL, "--files", "8", "--rounds", "1", "--memory-files", "20", "--small", "256")

SECTIONS = (
    machine.SECTION,
    floor.SECTION,
    throughput.SECTION,
    peers.SECTION,
    open_loop.SECTION,
    archive.SECTION,
    codecs.SECTION,
    start.SECTION,
    program(
        *("network", "The network alone", ("--profile",), _NETWORK),
        [
            Printed(
                Figure(f"{above} over {below}, {name}", "≥", bar, None),
                rf"{name}, {above} over {below}: ([\d.]+)",
                optional=True,
            )
            for above, below, bar in _RATIOS
            for name in ("shipped", "squeezenet1_1", "densenet121")
        ],
    ),
    program(
        *("objects", "Objects for other systems", (), (*_SMALL, "--repeats", "1")),
        [
            Printed(
                Figure(f"{name} of 3000 × 2500 pixels, after the first", "≤", 0.5, None, " s"),
                rf"`{kind}` \| [\d.]+ s \| ([\d.]+) s",
            )
            for kind, name in _OBJECTS.items()
        ],
    ),
    program(
        *("metadata", "Metadata of a study", (), ("256",)),
        [Printed(Figure("time of a study's metadata over Orthanc's", "≤", 2, None), r"ratio ([\d.]+)")],
    ),
    program(
        *("worklist", "The worklist", ("--rows", "1000000"), ("--rows", "200")),
        [Printed(Figure("worklist page of 1,000,000 rows", "≤", 20, None, " ms"), r"first page[^\n]*? +([\d.]+) ms")],
    ),
    program(
        *("folder", "A folder of files", ("--files", "100", "--rounds", "2", "--memory-files", "400"), _FOLDER),
        [Printed(Figure("`triage predict` on a folder over its floor", "≥", 0.9, None), r"([\d.]+) of the floor")],
    ),
    memory.SECTION,
    program(
        *("folder-memory", "Memory of a long folder", ("--files", "20", "--rounds", "1"), _FOLDER),
        [Printed(Figure("its memory after 20,000 files over 1,000", "≤", 1.05, None), r"([\d.]+) of the start")],
    ),
)

"""All sections, in the order of the page. A new one is added here, and its mark to bench/RESULTS.md."""

from bench.speed import archive, codecs, floor, machine, memory, open_loop, peers, start, throughput
from bench.speed.program import program

SECTIONS = (
    machine.SECTION,
    floor.SECTION,
    throughput.SECTION,
    peers.SECTION,
    open_loop.SECTION,
    archive.SECTION,
    codecs.SECTION,
    start.SECTION,
    program("network", "The network alone", "bench.network", small=("--small",)),
    program("objects", "Objects for other systems", "bench.objects", small=("--small",)),
    program("worklist", "The worklist", "bench.worklist", "--rows", "1000000", small=("--rows", "200")),
    program("folder", "A folder of files", "bench.folder", small=("--small",)),
    memory.SECTION,
)

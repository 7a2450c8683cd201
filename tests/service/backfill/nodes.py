"""A Ray cluster on this machine, run as a program: `python -m tests.service.backfill.nodes NODES CORES`.

It has so many nodes of so many cores. It prints its address, then kills what its standard input names: `node`, the last
of them, or `worker`.
"""

import os
import signal
import sys
import time
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

from bench.processes import tree

STORE_BYTES = 150 * 2**20


def main() -> None:
    count, cores = map(int, sys.argv[1:])
    node = {"num_cpus": cores, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    others = [cluster.add_node(**node) for _ in range(count - 1)]
    cluster.wait_for_nodes()
    say(cluster.address)
    for line in sys.stdin:
        if line.strip() == "node":
            cluster.remove_node(others.pop(), allow_graceful=False)
        else:
            os.kill(_worker(), signal.SIGKILL)
        say("killed")
    cluster.shutdown()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _worker() -> int:
    """Return a process of the cluster that reads or predicts, as they name themselves; wait until there is one."""
    while True:
        for number in tree(os.getpid()):
            if command(number).startswith(b"ray::Map"):
                return number
        time.sleep(0.1)


def command(number: int) -> bytes:
    """Return the command of a process, empty if it has ended."""
    try:
        return (Path("/proc") / str(number) / "cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main()

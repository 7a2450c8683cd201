"""A Ray cluster of two nodes on this machine, run as a program: `python -m tests.service.backfill.two_nodes`.

It prints its address, then kills what its standard input names: `node`, or `worker`.
"""

import os
import signal
import sys
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

STORE_BYTES = 150 * 2**20


def main() -> None:
    head = {"num_cpus": 2, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
    cluster.wait_for_nodes()
    say(cluster.address)
    for line in sys.stdin:
        if line.strip() == "node":
            cluster.remove_node(second, allow_graceful=False)
        else:
            os.kill(min(_workers()), signal.SIGKILL)
        say("killed")
    cluster.shutdown()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _workers() -> list[int]:
    """Return the processes of Ray's actors, as they name themselves."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::MapWorker"):
            found.append(int(folder.name))
    return found


if __name__ == "__main__":
    main()

"""Many connections at once; as a command, since they need more descriptors than a test may have."""

import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.conftest import ROOT

_READY = "ready\n"


@contextmanager
def crowd(port: int, count: int, start: bytes) -> Iterator[None]:
    """Hold `count` connections open, each of which has sent `start` and sends no more."""
    command = [sys.executable, "-m", "tests.service.dimse.crowd", str(port), str(count), start.hex()]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == _READY
        yield
        process.communicate()  # closes its input, at which it ends


def _hold(port: int, count: int, start: bytes) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    connections = []
    for _ in range(count):
        connections.append(socket.create_connection(("127.0.0.1", port), timeout=60))
        with suppress(ConnectionError):  # closed for a newer one already
            connections[-1].sendall(start)
    sys.stdout.write(_READY)
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _hold(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]))

"""What ends a command early: Ctrl-C, or SIGTERM, by which containers are stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, with the results so far."""

    def stop(_number: int, frame: FrameType | None) -> None:
        interrupt = signal.getsignal(signal.SIGINT)  # asyncio's, while it runs
        if not callable(interrupt):  # SIGINT is ignored, as in the background of a shell
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Exit statuses of the commands."""

import signal

UNFINISHED = 1  # something was refused, or is not done yet
NOT_STARTED = 2
INTERRUPTED = 128 + signal.SIGINT  # as shells report it

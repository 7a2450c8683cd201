import subprocess
import sys
import threading
from io import StringIO

from service.dimse.process import _log_failure
from tests.conftest import ROOT

# A timer's signals in place of SIGTERM, at moments around the one at which the process begins to wait
_STOPPED = """
import os, signal
from service.dimse import process

process.STOPS = (signal.SIGALRM,)
stop = process.stop_signals()
for number in range(5000):
    signal.setitimer(signal.ITIMER_REAL, (4 + number % 200) * 5e-7)
    os.read(stop, 1)
"""


def test_a_thread_that_fails_leaves_no_text_of_its_error_in_the_log(log: StringIO) -> None:
    error = ValueError("Tweety^Kanarie")
    _log_failure(threading.ExceptHookArgs((ValueError, error, None, threading.current_thread())))

    assert '"ValueError"' in log.getvalue()
    assert "Tweety" not in log.getvalue()


def test_no_signal_to_stop_is_lost() -> None:
    subprocess.run([sys.executable, "-c", _STOPPED], cwd=ROOT, check=True, timeout=300)

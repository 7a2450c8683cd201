import threading
from io import StringIO

from service.dimse.process import _log_failure


def test_a_thread_that_fails_leaves_no_text_of_its_error_in_the_log(log: StringIO) -> None:
    error = ValueError("Tweety^Kanarie")
    _log_failure(threading.ExceptHookArgs((ValueError, error, None, threading.current_thread())))

    assert '"ValueError"' in log.getvalue()
    assert "Tweety" not in log.getvalue()

"""Parts of `triage serve`; test_app.py runs the command."""

import gc
import socket

import pytest

from service.cli.serve import _listen, _without_collections


def fail() -> None:
    with _without_collections():
        assert not gc.isenabled()
        raise ValueError("of the start")


def test_garbage_is_collected_again_after_an_error() -> None:
    try:
        with pytest.raises(ValueError, match="of the start"):
            fail()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_the_body_of_an_answer_does_not_wait_for_an_acknowledgement_of_its_head() -> None:
    with (
        _listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

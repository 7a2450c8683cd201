"""Parts of `triage serve`; test_app.py runs the command."""

import gc

import pytest

from service.cli.serve import _without_collections


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

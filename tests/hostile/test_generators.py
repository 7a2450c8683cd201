"""An input is made again from its name, and the code streams are taken apart without loss."""

import hashlib
import subprocess
import sys

import pytest

from service.dicom.policy import Policy
from service.dicom.radiograph import radiograph
from service.dicom.reader import Bounds
from tests.conftest import ROOT
from tests.hostile import codestream, generators
from tests.hostile.generators import SYNTAX_OF, good, make, names, stream

STREAMS = [kind for kind in SYNTAX_OF if not kind.startswith("rle")]
_PRINT_DIGEST = "from tests.hostile import test_generators; print(test_generators.digest())"


def digest() -> str:
    return hashlib.sha256(b"".join(make(name).body for name in names(0, 90))).hexdigest()


def test_a_name_gives_the_same_bytes_in_another_process() -> None:
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-c", _PRINT_DIGEST]
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == digest()


def test_names_take_the_generators_in_turn() -> None:
    assert {name.partition("/")[0] for name in names(0, 40)} == {"dicom", "stow", "dimse", *SYNTAX_OF}
    assert names(0, 100)[60:] == names(60, 40)
    assert len({make(name).body for name in names(0, 200)}) > 190


@pytest.mark.parametrize("kind", STREAMS)
def test_a_code_stream_is_its_segments(kind: str) -> None:
    segments = list(generators._segments(kind))

    assert codestream.joined(segments) == stream(kind)
    assert len(segments) > 4
    assert sum(len(segment.data) for segment in segments) > 1000  # the coded data are apart from the markers


@pytest.mark.parametrize("kind", ["native", *SYNTAX_OF])
def test_what_inputs_are_made_from_is_a_radiograph(kind: str) -> None:
    data = good("x") if kind == "native" else generators.dicom.written(generators._radiograph(kind, "x"))

    values = radiograph(data, Bounds(), Policy()).values
    assert values.shape == (256, 256)
    assert values.std() > 0.1

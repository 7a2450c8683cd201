"""The exact DICOM number of every error, as STOW-RS and as C-STORE return it."""

import subprocess
import sys

import pytest

from service import errors
from service.dicom_web.response_module import Failure, Outcome
from service.dimse.status import status
from service.errors import Reason, TriageError, UnsuitableImage
from service.http.failure_reasons import BY_CLASS, reason
from service.http.problems import problem
from tests.service.http.test_problems import leaves

EXPECTED: dict[type[TriageError], int] = {
    errors.MalformedDicom: 0xC000,
    errors.UnsupportedEncoding: 0xC122,
    errors.TooLarge: 0xC000,
    errors.UploadIdle: 0xA700,
    errors.Conflict: 0xC000,
    errors.DecodeTimeout: 0x0110,
    errors.UnsuitableImage: 0xA900,
    errors.InvalidRequest: 0xC000,
    errors.Unauthenticated: 0xA700,
    errors.Forbidden: 0xA700,
    errors.NotFound: 0xA700,
    errors.NotAcceptable: 0xA700,
    errors.RateLimited: 0xA700,
    errors.Overloaded: 0xA700,
    errors.StorageFull: 0xA700,
    errors.InferenceFailed: 0x0110,
    errors.ArtefactError: 0xA700,
    errors.ConfigurationError: 0xA700,
}


def error_of(kind: type[TriageError]) -> TriageError:
    return UnsuitableImage((Reason("view_unsuitable", "x"),)) if kind is UnsuitableImage else kind("x")


def over_c_store(error: Exception) -> int:
    answer = problem(error)
    return status(answer.status, answer.model_dump(exclude_none=True)).value


@pytest.mark.parametrize("kind", sorted(leaves(), key=lambda kind: kind.__name__))
def test_every_leaf_of_the_error_tree_has_its_number_over_stow_and_c_store(kind: type[TriageError]) -> None:
    error = error_of(kind)

    assert kind in BY_CLASS
    assert Failure.of(error, 1).reason == over_c_store(error) == EXPECTED[kind]


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (errors.MalformedDicom("x", "pixel_data_missing"), 0x0122),
        (errors.MalformedDicom("x", "decoder_failed"), 0xC000),
        (errors.TooLarge("x", "image_too_large"), 0xC000),
        (errors.Conflict("x", "study_mismatch"), 0xA900),
        (errors.Conflict("x", "identity_conflict"), 0xC000),
        (errors.UnsupportedEncoding("x", "unsupported_media_type"), 0xC000),
        (UnsuitableImage((Reason("view_unsuitable", "x"), Reason("modality_unsuitable", "x"))), 0x0122),
        (TriageError("x"), 0x0110),
        (ValueError("x"), 0x0110),
    ],
)
def test_a_code_may_say_more_than_the_class(error: Exception, number: int) -> None:
    assert reason(error) == over_c_store(error) == number


@pytest.mark.parametrize("kind", sorted(leaves(), key=lambda kind: kind.__name__))
def test_a_store_is_503_if_and_only_if_sending_again_may_help(kind: type[TriageError]) -> None:
    outcome = Outcome(failures=[Failure.of(error_of(kind), 1)])

    assert outcome.status == (503 if EXPECTED[kind] == 0xA700 else 409)


def test_the_acceptor_imports_the_table_without_the_web_framework() -> None:
    code = "import sys, service.dimse.process; print({'fastapi', 'starlette'} & set(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout == "set()\n"

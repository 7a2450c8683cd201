import pytest

from service import errors
from service.errors import Conflict, Reason, UnsuitableImage
from service.http.failure_reasons import TABLE, reason
from service.http.problems import TABLE as PROBLEMS


def test_every_leaf_that_a_file_can_raise_has_a_reason() -> None:
    of_the_request = {errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.NotAcceptable}
    at_the_start = {errors.ArtefactError, errors.ConfigurationError}

    assert set(TABLE) == set(PROBLEMS) - of_the_request - at_the_start


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (errors.MalformedDicom("x"), 49152),
        (errors.MalformedDicom("x", "pixel_data_missing"), 290),
        (errors.UnsupportedEncoding("x"), 49442),
        (errors.Overloaded("x"), 42752),
        (errors.InferenceFailed("x"), 272),
        (Conflict("x"), 273),
        (Conflict("x", "study_mismatch"), 43264),
        (UnsuitableImage((Reason("view_unsuitable", "x"),)), 43264),
        (UnsuitableImage((Reason("view_unsuitable", "x"), Reason("modality_unsuitable", "x"))), 290),
        (ValueError("x"), 272),
    ],
)
def test_the_numbers_are_those_of_the_standard(error: Exception, number: int) -> None:
    assert reason(error) == number

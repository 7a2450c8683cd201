import pickle

import pytest

from service import errors
from service.errors import Overloaded, Reason, TriageError, UnsuitableImage, about


def classes(root: type[TriageError] = TriageError) -> list[type[TriageError]]:
    return [root] + [descendant for child in root.__subclasses__() for descendant in classes(child)]


def test_the_docstring_shows_the_tree() -> None:
    names = [line.lstrip("│├└─ ") for line in (errors.__doc__ or "").splitlines() if "─" in line]

    assert names == [error.__name__ for error in classes()[1:]]


def test_codes_are_snake_case_and_each_class_has_its_own() -> None:
    codes = [error.code for error in classes()]

    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", [error for error in classes() if error is not UnsuitableImage])
def test_an_error_crosses_a_process_border_with_its_code(kind: type[TriageError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a message", "a_code")))

    assert (type(error), error.message, error.code, str(error)) == (kind, "a message", "a_code", "a message")


def test_reasons_cross_a_process_border() -> None:
    reasons = (Reason("wrong_modality", "Modality is wrong"), Reason("lateral_view", "ViewPosition is wrong"))

    error = pickle.loads(pickle.dumps(UnsuitableImage(reasons)))

    assert error.reasons == reasons
    assert error.message == "Modality is wrong. ViewPosition is wrong"
    assert error.code == "unsuitable_image"


@pytest.mark.parametrize("error", [TriageError("x"), UnsuitableImage((Reason("a", "b"),))])
def test_about_sets_the_uid_of_the_innermost_instance(error: TriageError) -> None:
    with pytest.raises(TriageError) as caught, about("2.25.2"), about("2.25.1"):
        raise error

    assert caught.value.sop_instance_uid == "2.25.1"
    assert pickle.loads(pickle.dumps(caught.value)).sop_instance_uid == "2.25.1"
    assert "2.25" not in str(caught.value)


def test_overloaded_has_a_time_to_retry() -> None:
    assert Overloaded("full").retry_after_s > 0

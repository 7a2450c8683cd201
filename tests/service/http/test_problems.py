from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from service import errors
from service.errors import InputError, Overloaded, Reason, StartupError, TriageError, UnsuitableImage
from service.http import problems
from service.http.problems import TABLE, Problem, answer, problem
from tests.service.serving import Client, client_of


def leaves(root: type[TriageError] = TriageError) -> set[type[TriageError]]:
    children = root.__subclasses__()
    return set().union(*map(leaves, children)) if children else {root}


def test_every_leaf_is_in_the_table_and_nothing_else() -> None:
    assert set(TABLE) == leaves()


@pytest.mark.parametrize("kind", sorted(TABLE, key=lambda kind: kind.__name__))
def test_a_leaf_becomes_a_problem(kind: type[TriageError]) -> None:
    error = UnsuitableImage((Reason("a_code", "text"),)) if kind is UnsuitableImage else kind("text", "a_code")

    response = answer(error)

    described = Problem.model_validate_json(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == described.status == TABLE[kind].status
    assert (described.title, described.type, described.detail) == (TABLE[kind].title, TABLE[kind].type, "text")
    assert described.code == ("unsuitable_image" if kind is UnsuitableImage else "a_code")


def test_each_class_has_the_status_of_the_design() -> None:
    statuses = {kind.__name__: entry.status for kind, entry in TABLE.items()}

    assert statuses == {
        "MalformedDicom": 400,
        "UnsupportedEncoding": 415,
        "TooLarge": 413,
        "UploadIdle": 408,
        "Conflict": 409,
        "UnsuitableImage": 422,
        "DecodeTimeout": 422,
        "InvalidRequest": 400,
        "Unauthenticated": 401,
        "Forbidden": 403,
        "NotFound": 404,
        "NotAcceptable": 406,
        "RateLimited": 429,
        "Overloaded": 503,
        "StorageFull": 507,
        "InferenceFailed": 500,
        "ArtefactError": 503,
        "ConfigurationError": 503,
    }


def test_a_type_has_one_title_whatever_the_code() -> None:
    """RFC 9457 3.1.3."""
    codes = ("conflict", "study_mismatch", "identity_conflict")
    described = [problem(errors.Conflict("text", code)) for code in codes]

    assert {(one.type, one.title) for one in described} == {
        ("urn:agcnn-triage:problem:conflict", "Conflicts with the request or with a stored image")
    }
    assert len({kind.type for kind in TABLE.values()}) == len({(kind.type, kind.title) for kind in TABLE.values()})


def test_the_types_of_problems_are_stable() -> None:
    assert sorted({kind.type.removeprefix("urn:agcnn-triage:problem:") for kind in TABLE.values()}) == [
        *("conflict", "decode-timeout", "forbidden", "inference-failed", "invalid-request", "malformed-dicom"),
        *("not-acceptable", "not-found", "not-ready", "overloaded", "rate-limited", "storage-full", "too-large"),
        *("unauthenticated", "unsuitable-image", "unsupported-encoding", "upload-idle"),
    ]


def test_a_problem_lists_all_reasons_of_the_gate() -> None:
    reasons = (Reason("modality_unsuitable", "Modality"), Reason("view_unsuitable", "ViewPosition"))
    described = problem(UnsuitableImage(reasons))

    assert [detail.model_dump() for detail in described.errors or []] == [
        {"code": "modality_unsuitable", "message": "Modality"},
        {"code": "view_unsuitable", "message": "ViewPosition"},
    ]


def test_a_temporary_refusal_has_retry_after() -> None:
    assert answer(Overloaded("full")).headers["retry-after"] == str(Overloaded.retry_after_s)
    assert "retry-after" not in answer(errors.NotFound("none")).headers
    limited = errors.RateLimited("too often")
    limited.retry_after_s = 7
    assert answer(limited).headers["retry-after"] == "7"


def test_401_names_the_authentication_scheme() -> None:
    assert answer(errors.Unauthenticated("none")).headers["www-authenticate"] == 'Bearer realm="triage"'
    assert "www-authenticate" not in answer(errors.Forbidden("no")).headers


def test_an_unexpected_error_is_not_disclosed() -> None:
    described = problem(ValueError("Canary^Tweety"))

    assert (described.status, described.code) == (500, "internal_error")
    assert "Canary" not in described.model_dump_json()


@pytest.mark.parametrize("kind", [TriageError, InputError, StartupError])
def test_an_inner_class_of_the_error_tree_is_an_internal_error(kind: type[TriageError]) -> None:
    assert problem(kind("text")).status == 500


@pytest.fixture
def client() -> Iterator[Client]:
    app = FastAPI()
    problems.install(app)

    @app.get("/number/{value}")
    async def number(value: int, limit: int) -> int:
        return value

    with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/number/1", 405, "method_not_allowed"),
        ("GET", "/number/Tweety?limit=Canary", 400, "invalid_request"),
    ],
)
def test_the_routers_own_errors_are_problems(client: Client, method: str, path: str, status: int, code: str) -> None:
    response = client.request(method, path)

    described = Problem.model_validate_json(response.content)
    assert (response.status_code, described.status, described.code) == (status, status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert "Tweety" not in response.text
    assert "Canary" not in response.text


def test_a_problem_lists_every_invalid_parameter(client: Client) -> None:
    described = Problem.model_validate_json(client.get("/number/a").content)

    assert [detail.code for detail in described.errors or []] == ["int_parsing", "missing"]
    assert described.detail.startswith("path value: ")


def test_405_lists_the_allowed_methods(client: Client) -> None:
    assert client.request("POST", "/number/1").headers["allow"] == "GET"

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
    error = UnsuitableImage((Reason("a_code", "said"),)) if kind is UnsuitableImage else kind("said", "a_code")

    response = answer(error)

    told = Problem.model_validate_json(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == told.status == TABLE[kind].status
    assert (told.title, told.type, told.detail) == (TABLE[kind].title, TABLE[kind].type, "said")
    assert told.code == ("unsuitable_image" if kind is UnsuitableImage else "a_code")


def test_statuses_are_those_of_the_design() -> None:
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


def test_all_reasons_of_the_gate_are_told() -> None:
    told = problem(UnsuitableImage((Reason("wrong_modality", "Modality"), Reason("lateral_view", "ViewPosition"))))

    assert [one.model_dump() for one in told.errors or []] == [
        {"code": "wrong_modality", "message": "Modality"},
        {"code": "lateral_view", "message": "ViewPosition"},
    ]


def test_who_is_refused_for_now_hears_when_to_come_back() -> None:
    assert answer(Overloaded("full")).headers["retry-after"] == str(Overloaded.retry_after_s)
    assert "retry-after" not in answer(errors.NotFound("none")).headers
    limited = errors.RateLimited("too often")
    limited.retry_after_s = 7
    assert answer(limited).headers["retry-after"] == "7"


def test_who_has_no_key_hears_how_to_show_one() -> None:
    assert answer(errors.Unauthenticated("none")).headers["www-authenticate"] == 'Bearer realm="triage"'
    assert "www-authenticate" not in answer(errors.Forbidden("no")).headers


def test_nothing_is_told_of_an_unexpected_error() -> None:
    told = problem(ValueError("Canary^Tweety"))

    assert (told.status, told.code) == (500, "internal_error")
    assert "Canary" not in told.model_dump_json()


@pytest.mark.parametrize("kind", [TriageError, InputError, StartupError])
def test_an_inner_class_of_the_tree_is_no_secret_but_an_internal_error(kind: type[TriageError]) -> None:
    assert problem(kind("said")).status == 500


@pytest.fixture
def client() -> Iterator[Client]:
    app = FastAPI()
    problems.install(app)

    @app.get("/number/{value}")
    async def number(value: int, most: int) -> int:
        return value

    with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/number/1", 405, "method_not_allowed"),
        ("GET", "/number/Tweety?most=Canary", 400, "invalid_request"),
    ],
)
def test_the_routers_own_errors_are_problems(client: Client, method: str, path: str, status: int, code: str) -> None:
    response = client.request(method, path)

    told = Problem.model_validate_json(response.content)
    assert (response.status_code, told.status, told.code) == (status, status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert "Tweety" not in response.text
    assert "Canary" not in response.text


def test_every_parameter_that_is_wrong_is_told(client: Client) -> None:
    told = Problem.model_validate_json(client.get("/number/a").content)

    assert [one.code for one in told.errors or []] == ["int_parsing", "missing"]
    assert told.detail.startswith("path value: ")


def test_405_says_what_is_allowed(client: Client) -> None:
    assert client.request("POST", "/number/1").headers["allow"] == "GET"

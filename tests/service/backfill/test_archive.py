"""A DICOMweb archive as a source: answers of a stand-in server, and Orthanc."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.backfill.archive import Archive
from service.backfill.outcome import Outcome
from service.errors import ConfigurationError, MalformedDicom, Overloaded, TooLarge, TriageError
from tests.factories import chest, encode, noise
from tests.pacs.orthanc import free_ports, orthanc

NAME = "1.2/1.3/1.4"
PATH = "/dicom-web/studies/1.2/series/1.3/instances/1.4"
MULTIPART = 'multipart/related; type="application/dicom"; boundary=xyz'

Answer = Callable[[httpx.Request], httpx.Response]


def archive(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> Archive:
    """Return an archive whose requests a function answers, three times at most."""
    made = httpx.Client
    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(httpx, "Client", lambda **options: made(**options, transport=transport))
    return Archive("http://pacs/dicom-web", "Bearer abc", pauses=(0.0, 0.0))


def multipart(data: bytes) -> bytes:
    return b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--xyz--\r\n"


def found(**values: object) -> dict[str, object]:
    tags = {"study": "0020000D", "series": "0020000E", "instance": "00080018", "instances": "00201209"}
    return {tags[name]: {"vr": "UI", "Value": [value]} for name, value in values.items()}


def series(number: int) -> dict[str, object]:
    return {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "0020000E": {"vr": "UI", "Value": [f"1.3.{number}"]}}


def test_series_of_both_modalities_are_listed_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"CR": 100, "DX": 101}

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept"] == "application/dicom+json"
        assert request.headers["authorization"] == "Bearer abc"
        query = request.url.params
        if request.url.path == "/dicom-web/series":
            numbers = range(counts[query["Modality"]])[int(query["offset"]) :][: int(query["limit"])]
            return httpx.Response(200, json=[series(number) for number in numbers]) if numbers else httpx.Response(204)
        return httpx.Response(200, json=[{"00080018": {"vr": "UI", "Value": ["1.4"]}}])

    names = list(archive(monkeypatch, answer).references())
    assert names == [f"1.2/1.3.{number}/1.4" for count in counts.values() for number in range(count)]


@pytest.mark.parametrize("value", [[], ["../.."], ["1.2/3"], [{}]])
def test_a_search_without_uids_ends_the_listing(monkeypatch: pytest.MonkeyPatch, value: list[object]) -> None:
    broken = {"0020000D": {"vr": "UI", "Value": value}, "0020000E": {"vr": "UI", "Value": ["1.3"]}}
    with pytest.raises(Overloaded) as caught:
        list(archive(monkeypatch, lambda _: httpx.Response(200, json=[broken])).references())
    assert caught.value.code == "source_unavailable"


@pytest.mark.parametrize("data", [b"", b"DICM", b"\r\n--xy\r\n", bytes(range(256)) * 300])
def test_the_part_of_an_answer_is_the_file(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == PATH
        assert 'type="application/dicom"; transfer-syntax=*' in request.headers["accept"]
        return httpx.Response(200, content=multipart(data), headers={"Content-Type": MULTIPART})

    assert archive(monkeypatch, answer).read(NAME, 10**6) == data


def test_an_answer_without_parts_is_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Content-Type": "application/dicom"}
    assert archive(monkeypatch, lambda _: httpx.Response(200, content=b"x", headers=headers)).read(NAME, 9) == b"x"


@pytest.mark.parametrize("cap", [7, 50, 100])
@pytest.mark.parametrize("warns", [True, False])
def test_an_archive_may_give_fewer_results_than_asked_for(
    monkeypatch: pytest.MonkeyPatch, cap: int, warns: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        query, path = request.url.params, request.url.path
        if path.endswith("/series"):
            results = [series(number) for number in range(120)] if query["Modality"] == "CR" else []
        else:
            results = [
                found(instance=f"1.4.{number}") for number in range(120 if path.endswith("1.3.5/instances") else 1)
            ]
        offset, limit = int(query["offset"]), min(int(query["limit"]), cap)
        is_cut = warns and len(results) > offset + limit
        headers = {"Warning": '299 pacs: "There are additional results that can be requested"'} if is_cut else {}
        return httpx.Response(200, json=results[offset : offset + limit], headers=headers)

    names = list(archive(monkeypatch, answer).references())
    assert len(names) == len(set(names)) == 119 + 120


def test_the_number_of_its_instances_spares_a_request_for_each_series(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/series"):
            results = [series(number) | found(instances=2) for number in range(3)]
            return httpx.Response(200, json=results if request.url.params["offset"] == "0" else [])
        requests.append(request.url.path)
        return httpx.Response(200, json=[found(instance="1.4.1"), found(instance="1.4.2")])

    assert len(list(archive(monkeypatch, answer).references())) == 12
    assert len(requests) == 6


@pytest.mark.parametrize("of", ["series", "instances"])
@pytest.mark.parametrize(("given", "warning"), [(100, ""), (50, '299 pacs: "There are additional results"')])
def test_an_archive_that_knows_no_offset_and_cuts_its_answers_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, of: str, given: int, warning: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(of):
            results = [series(number) | found(instance=f"1.4.{number}") for number in range(given)]
            return httpx.Response(200, json=results, headers={"Warning": warning})
        return httpx.Response(200, json=[series(1)] if request.url.path.endswith("series") else [found(instance="1")])

    with pytest.raises(Overloaded, match="the same results for each offset") as caught:
        list(archive(monkeypatch, answer).references())
    assert caught.value.code == "source_unavailable"


@pytest.mark.parametrize("given", [1, 99, 250])
def test_an_archive_that_knows_no_offset_may_give_all_at_once(monkeypatch: pytest.MonkeyPatch, given: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/series"):
            return httpx.Response(200, json=[series(number) for number in range(given)])
        return httpx.Response(200, json=[found(instance="1.4")])

    assert len(list(archive(monkeypatch, answer).references())) == 2 * given


def test_a_series_whose_instances_cannot_be_listed_stands_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = {"1.3.1": 500, "1.3.2": 404}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/series"):
            first = request.url.params["offset"] == "0" and request.url.params.get("Modality") != "DX"
            return httpx.Response(200, json=[series(number) for number in range(4)] if first else [])
        status = statuses.get(request.url.path.split("/")[-2], 200)
        return httpx.Response(status, json=[found(instance="1.4")])

    source = archive(monkeypatch, answer)
    assert list(source.references()) == ["1.2/1.3.0/1.4", "1.2/1.3.1", "1.2/1.3.2", "1.2/1.3.3/1.4"]
    assert [failure(source, name).is_final for name in ("1.2/1.3.1", "1.2/1.3.2")] == [False, True]
    statuses.clear()
    again = failure(source, "1.2/1.3.1")
    assert (again.is_final, again.stops) == (False, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, content=b"--abc\r\n\r\n", headers={"Content-Type": MULTIPART}), MalformedDicom),
        (httpx.Response(200, content=multipart(bytes(200)), headers={"Content-Type": MULTIPART}), TooLarge),
        (httpx.Response(200, content=bytes(10**6)), TooLarge),
    ],
)
def test_an_answer_without_a_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, error: type[TriageError]
) -> None:
    with pytest.raises(error):
        archive(monkeypatch, lambda _: answer).read(NAME, 100)


def failure(source: Archive, name: str = NAME) -> Outcome:
    with pytest.raises(TriageError) as caught:
        source.read(name, 100)
    return Outcome(name, error=caught.value)


@pytest.mark.parametrize(
    ("status", "is_final"),
    [(404, True), (406, True), (410, True), (422, True), (302, False), (403, False), (429, False), (500, False)],
)
def test_one_instance_that_an_archive_refuses_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, status: int, is_final: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status) if request.url.path == PATH else httpx.Response(200, json=[])

    refused = failure(archive(monkeypatch, answer))
    assert (refused.is_final, refused.stops) == (is_final, None)
    assert f"the archive answers {status}" in str(refused.error)


@pytest.mark.parametrize("status", [302, 403, 404, 500, 503])
def test_an_archive_that_refuses_everything_ends_the_run(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    source = archive(monkeypatch, lambda _: httpx.Response(status))
    refused = failure(source)
    assert refused.stops is refused.error
    assert f"the archive answers {status}" in str(refused.error)
    assert ("check --authorization-file" in str(refused.error)) == (status == 403)
    with pytest.raises(Overloaded, match=f"the archive answers {status}") as caught:
        list(source.references())
    assert caught.value.code == "source_unavailable"


def test_an_authorization_that_is_refused_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(401)

    refused = failure(archive(monkeypatch, answer))
    assert refused.stops is refused.error
    assert str(refused.error) == "the archive answers 401: check --authorization-file"
    assert len(requests) == 1


def test_an_archive_that_is_away_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to pacs")

    refused = failure(archive(monkeypatch, answer))
    assert refused.stops is refused.error
    assert str(refused.error) == "the source cannot be read: ConnectError"


@pytest.mark.parametrize("content", [b"{}", b"no", b"[["])
def test_a_search_that_is_not_a_list_ends_the_listing(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with pytest.raises(Overloaded, match="cannot be read") as caught:
        list(archive(monkeypatch, lambda _: httpx.Response(200, content=content)).references())
    assert caught.value.code == "source_unavailable"


def test_an_archive_in_trouble_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([httpx.Response(503), httpx.Response(502), httpx.Response(200, content=b"x")])
    assert archive(monkeypatch, lambda _: next(answers)).read(NAME, 9) == b"x"


def test_a_malformed_url_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError):
        Archive("http://pacs:port/dicom-web")


def test_orthanc_gives_its_radiographs_as_they_were_stored(tmp_path: Path) -> None:
    ports = free_ports()
    with orthanc(tmp_path / "orthanc", ports) as pacs:
        stored = {}
        for number, modality in enumerate(("CR", "DX", "DX", "CT")):
            uids = {"SOPInstanceUID": f"2.25.{number + 1}7", "SeriesInstanceUID": f"2.25.{number + 1}8"}
            data = encode(chest(noise(seed=number), Modality=modality, **uids))
            pacs.upload(data)
            stored[uids["SOPInstanceUID"]] = data
        source = Archive(f"http://127.0.0.1:{ports.http}/dicom-web")
        got = {name.rpartition("/")[2]: source.read(name, 10**7) for name in source.references()}
        source._http.close()

    del stored["2.25.47"]
    assert got.keys() == stored.keys()
    assert all(
        got[uid][-(2**16) :] == data[-(2**16) :] for uid, data in stored.items()
    )  # Orthanc writes its own file meta

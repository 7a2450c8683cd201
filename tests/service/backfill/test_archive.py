"""A DICOMweb archive as a source: answers of a stand-in server, and Orthanc."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.backfill.archive import Archive
from service.errors import ConfigurationError, InvalidRequest, MalformedDicom, Overloaded, TooLarge, TriageError
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


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (httpx.Response(404), InvalidRequest, "unreadable"),
        (httpx.Response(200, content=b"--abc\r\n\r\n", headers={"Content-Type": MULTIPART}), MalformedDicom, None),
        (httpx.Response(200, content=multipart(bytes(200)), headers={"Content-Type": MULTIPART}), TooLarge, None),
        (httpx.Response(200, content=bytes(10**6)), TooLarge, None),
        (httpx.Response(401), Overloaded, "source_unavailable"),
        (httpx.Response(503), Overloaded, "source_unavailable"),
        (httpx.Response(302, headers={"Location": "http://elsewhere/"}), Overloaded, "source_unavailable"),
    ],
)
def test_other_answers_are_errors(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, error: type[TriageError], code: str | None
) -> None:
    with pytest.raises(error) as caught:
        archive(monkeypatch, lambda _: answer).read(NAME, 100)
    assert caught.value.code == (code or caught.value.code)


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

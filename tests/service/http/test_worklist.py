import csv
import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.http.worklist_bodies import Entry, WorklistPage
from service.http_settings import Http
from tests.factories import dicom_bytes, noise
from tests.service.serving import Client, serving, settings_for

PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "P-17",
    "PatientSex": "F",
    "PatientAge": "055Y",
    "PatientBirthDate": "19700102",
    "StudyDate": "20260504",
    "StudyTime": "101500",
    "StudyDescription": "<script>alert(1)</script>",
    "SeriesDescription": "PA",
    "AccessionNumber": "ACC-1",
}


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        yield client


@pytest.fixture(scope="module")
def posted(client: Client) -> list[dict[str, Any]]:
    """Predictions of five radiographs: the first of Jane Doe, the second with formulas as patient attributes."""
    tags: list[dict[str, str]] = [PATIENT, {"PatientName": "=1+1", "PatientID": "@SUM(A1)", "AccessionNumber": "-2"}]
    tags += [{}] * 3
    data = [dicom_bytes(noise(seed=n), SOPInstanceUID=f"2.25.{n}", **elements) for n, elements in enumerate(tags, 1)]
    return [client.post(file).json() for file in data]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# The list...


def test_the_worklist_has_the_predictions_by_urgency(client: Client, posted: list[dict[str, Any]]) -> None:
    response = client.get("/v1/worklist")

    page = WorklistPage.model_validate_json(response.content)
    rank = {"STAT": 0, "HIGH": 1, "ROUTINE": 2}
    keys = [(rank[entry.priority], -(entry.margin or 0), entry.created) for entry in page.items]
    assert {entry.id for entry in page.items} == {item["id"] for item in posted}
    assert keys == sorted(keys)
    assert (page.total, page.next) == (5, None)
    assert page.counted_to > page.total
    stat = [entry.created for entry in page.items if entry.priority == "STAT"]
    assert page.oldest_unread_stat == min(stat, default=None)
    assert {entry.view_position for entry in page.items} == {"PA"}
    assert {entry.other_studies for entry in page.items} == {0}  # all are in one study
    assert sum(page.unread.model_dump().values()) == 5


def test_an_entry_has_the_values_of_the_data_set_unchanged(client: Client, posted: list[dict[str, Any]]) -> None:
    response = client.get(f"/v1/worklist/{posted[0]['id']}")

    entry = response.json()
    Entry.model_validate_json(response.content)
    assert entry["patient"] == {
        "name": "Doe^Jane",
        "id": "P-17",
        "sex": "F",
        "age": "055Y",
        "birth_date": "19700102",
    }
    assert entry["study"] == {
        "instance_uid": "2.25.1001",
        "date": "20260504",
        "time": "101500",
        "description": "<script>alert(1)</script>",
    }
    assert (entry["accession_number"], entry["series_description"], entry["modality"]) == ("ACC-1", "PA", "DX")
    assert entry["positive"] == [finding["label"] for finding in posted[0]["findings"] if finding["positive"]]
    for name in ("id", "created", "priority", "reason", "flags", "model", "links"):
        assert entry[name] == posted[0][name]
    assert response.headers["content-type"] == "application/json"  # with nosniff, so that no browser shows it as a page


def test_absent_attributes_are_empty(client: Client, posted: list[dict[str, Any]]) -> None:
    entry = client.get(f"/v1/worklist/{posted[4]['id']}").json()

    assert (entry["patient"]["age"], entry["study"]["date"], entry["series_description"]) == ("", "", "")


def test_the_pages_together_are_the_whole_list(client: Client, posted: list[dict[str, Any]]) -> None:
    whole = [entry["id"] for entry in client.get("/v1/worklist").json()["items"]]
    listed, cursor = [], None
    for _ in range(3):
        page = client.get("/v1/worklist", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        listed += [entry["id"] for entry in page["items"]]
        cursor = page["next"]

    assert listed == whole
    assert cursor is None


@pytest.mark.parametrize(
    "query",
    [
        *("q=doe", "limit=0", "limit=501", "limit=x", "cursor=x", "priority=URGENT", "read=perhaps"),
        *("since=0001-01-01T00:00:00%2B14:00", "since=9999-12-31T23:59:59-01:00"),  # not in the calendar, in UTC
        *("since=yesterday", "since=2026-05-04T00:00:00", "finding=" + "x" * 65, "anything=1"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/worklist", "/v1/worklist.csv"])
def test_an_invalid_parameter_is_400(client: Client, path: str, query: str) -> None:
    refused = client.get(f"{path}?{query}")

    assert (refused.status_code, refused.json()["status"]) == (400, 400)
    assert refused.headers["content-type"] == "application/problem+json"
    assert "doe" not in refused.text


def test_filters_select_entries(client: Client, posted: list[dict[str, Any]]) -> None:
    def total(**query: str) -> int:
        count: int = client.get("/v1/worklist", params=query).json()["total"]
        return count

    for priority in ("STAT", "HIGH", "ROUTINE"):
        assert total(priority=priority) == sum(item["priority"] == priority for item in posted)
    for label in ("Pneumothorax", "Mass", "Hernia"):
        findings = [finding for item in posted for finding in item["findings"] if finding["label"] == label]
        assert total(finding=label) == sum(finding["positive"] is True for finding in findings)
    assert total(since="2020-01-01T00:00:00Z") == 5
    assert total(since="2120-01-01T00:00:00+02:00") == 0
    assert total(read="0") == 5


# A search...


@pytest.mark.parametrize(("q", "total"), [("doe", 1), ("jane DOE", 1), ("p-17", 1), ("acc-1", 1), ("nobody", 0)])
def test_a_search_matches_name_id_and_accession_number(
    client: Client, posted: list[dict[str, Any]], q: str, total: int
) -> None:
    page = client.request("POST", "/v1/worklist/search", json={"q": q, "limit": 5, "read": False}).json()
    table = client.request("POST", "/v1/worklist.csv", json={"q": q, "read": False})

    assert page["total"] == len(page["items"]) == len(rows(table.text)) == total
    assert [entry["id"] for entry in page["items"]] == [posted[0]["id"]] * total


@pytest.mark.parametrize("body", [{"Q": "doe"}, {"q": 1}, {"q": "x" * 201}, {"limit": 501}, [], None, "doe"])
@pytest.mark.parametrize("path", ["/v1/worklist/search", "/v1/worklist.csv"])
def test_an_invalid_search_is_400(client: Client, path: str, body: object) -> None:
    refused = client.request("POST", path, json=body)

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert "doe" not in refused.text


@pytest.mark.parametrize("q", ["\0", "\ufffd", "💡", "%_/"])
def test_any_text_can_be_searched_for(client: Client, q: str) -> None:
    assert client.request("POST", "/v1/worklist/search", json={"q": q}).status_code == 200


def test_an_unpaired_surrogate_is_no_internal_error(client: Client) -> None:
    body = {"content": rb'{"q": "\ud800"}', "headers": {"Content-Type": "application/json"}}

    assert client.request("POST", "/v1/worklist/search", **body).status_code in (200, 400)


def test_a_search_takes_an_order_also_for_the_table(client: Client, posted: list[dict[str, Any]]) -> None:
    order = {"sort": "patient", "descending": True, "unread_first": True}
    listed, cursor = [], None
    for _ in posted:
        body = order | {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = client.request("POST", "/v1/worklist/search", json=body).json()
        listed += [entry["patient"]["name"] for entry in page["items"]]
        cursor = page["next"]
    table = rows(client.request("POST", "/v1/worklist.csv", json=order).text)

    assert listed == ["Doe^Jane", *["Canary^Tweety"] * 3, "=1+1"]
    assert [row["patient_name"].removeprefix("'") for row in table] == listed
    refused = client.request("POST", "/v1/worklist/search", json={"sort": "colour"})
    assert refused.status_code == client.get("/v1/worklist?sort=patient").status_code == 400


# The table...


def test_the_table_has_every_entry(client: Client, posted: list[dict[str, Any]]) -> None:
    response = client.get("/v1/worklist.csv")

    entries = client.get("/v1/worklist").json()["items"]
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="worklist.csv"'
    assert [row["id"] for row in rows(response.text)] == [entry["id"] for entry in entries]
    [jane] = [row for row in rows(response.text) if row["id"] == posted[0]["id"]]
    assert (jane["patient_name"], jane["patient_id"], jane["accession_number"]) == ("Doe^Jane", "P-17", "ACC-1")
    assert jane["positive"] == "; ".join(one["label"] for one in posted[0]["findings"] if one["positive"])
    assert (jane["model"], jane["study_date"]) == (posted[0]["model"]["name"], "20260504")


def test_no_cell_is_a_formula(client: Client, posted: list[dict[str, Any]]) -> None:
    [row] = [row for row in rows(client.get("/v1/worklist.csv").text) if row["id"] == posted[1]["id"]]

    assert (row["patient_name"], row["patient_id"], row["accession_number"]) == ("'=1+1", "'@SUM(A1)", "'-2")
    assert float(row["margin"]) == pytest.approx(
        next(entry for entry in client.get("/v1/worklist").json()["items"] if entry["id"] == posted[1]["id"])["margin"]
    )


def test_the_table_has_the_entries_of_all_pages(
    client: Client, posted: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.worklist._ROWS", 2)

    assert len(rows(client.get("/v1/worklist.csv").text)) == 5


# The mark...


def test_a_read_mark_has_name_and_time(client: Client, posted: list[dict[str, Any]]) -> None:
    link = posted[2]["links"]["self"]

    marked = client.request("PATCH", link, json={"read": True, "by": " Dr\tA\0 \n"}).json()
    again = client.request("PATCH", link, json={"read": True, "by": "B"}).json()

    Entry.model_validate(marked)
    assert marked["read"]["by"] == "Dr A"
    assert datetime.fromisoformat(marked["read"]["at"]).tzinfo is not None
    assert again == marked == client.get(f"/v1/worklist/{posted[2]['id']}").json()
    assert client.get("/v1/worklist?read=1").json()["items"] == [marked]
    assert sum(client.get("/v1/worklist").json()["unread"].values()) == 4

    assert client.request("PATCH", link, json={"read": False}).json()["read"] is None
    assert client.request("PATCH", link, json={"read": True}).json()["read"]["by"] == ""
    client.request("PATCH", link, json={"read": False})


def test_a_mark_without_a_name_has_that_of_the_key(artefact: Path, tmp_path: Path) -> None:
    settings = settings_for(artefact, tmp_path).model_copy(update={"http": Http(keys="always")})
    with serving(settings) as client:
        token = client.app.state.keys.add("ward-3", ["predict", "read"])
        key = {"Authorization": f"Bearer {token}"}
        headers = key | {"Content-Type": "application/dicom"}
        link = client.request("POST", "/v1/predictions", content=dicom_bytes(noise()), headers=headers).json()["links"]

        marked = client.request("PATCH", link["self"], json={"read": True}, headers=key).json()

    assert marked["read"]["by"] == "ward-3"


@pytest.mark.parametrize(
    "body", [{}, {"by": "A"}, {"read": None}, {"read": True, "by": "x" * 65}, {"read": True, "priority": "STAT"}, []]
)
def test_an_invalid_mark_is_400(client: Client, posted: list[dict[str, Any]], body: object) -> None:
    refused = client.request("PATCH", posted[3]["links"]["self"], json=body)

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert client.get(f"/v1/worklist/{posted[3]['id']}").json()["read"] is None


@pytest.mark.parametrize("id", ["0" * 32, "x"])
def test_an_unknown_entry_is_404(client: Client, id: str) -> None:
    assert client.get(f"/v1/worklist/{id}").status_code == 404
    assert client.request("PATCH", f"/v1/predictions/{id}", json={"read": True}).status_code == 404

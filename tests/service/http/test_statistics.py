"""Statistics and opinions as clients see them; tests/service/storage/test_statistics.py checks the numbers."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest, Overloaded, Reason, UnsuitableImage
from service.http import refused
from service.http.csv_table import lines
from service.http.statistics import Days, Statistics, period, week_name
from service.storage import refusals
from service.storage.statistics import Period
from tests.factories import dicom_bytes, noise
from tests.service.serving import Client, serving, settings_for

HAND = {"BodyPartExamined": "HAND", "ViewPosition": "LL"}


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "FLUSH_SECONDS", 0.02)
        with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
            yield client


@pytest.fixture(scope="module")
def id(client: Client) -> str:
    return str(client.post(dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.1")).json()["id"])


def counted(client: Client) -> Statistics:
    (counting,) = (each.kwargs["refusals"] for each in client.app.user_middleware if each.cls is refused.Counted)

    async def written() -> None:
        async with asyncio.timeout(60):
            while counting._counted or counting._flushing.locked():
                await asyncio.sleep(0.01)

    client.runner.run(written())
    response = client.get("/v1/statistics")
    assert response.status_code == 200, response.text
    return Statistics.model_validate_json(response.content)


def refused_by(client: Client) -> Counter[str]:
    by_code = Counter[str]()
    for row in counted(client).refusals:  # a code has a row for each week, and a week may begin meanwhile
        by_code[row.code] += row.count
    return by_code


def test_each_refused_radiograph_is_counted_once_whichever_way_it_came(client: Client, id: str) -> None:
    hand = dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.2", **HAND)
    good = dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.1")
    before = refused_by(client)

    answers = [client.post(hand), client.post(b"no DICOM"), client.post(b"x", "text/plain")]
    several = client.post_files(("hand.dcm", hand), ("good.dcm", good))
    parts = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % part for part in (hand, good))
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    stow = client.request("POST", "/dicom-web/studies", content=parts + b"--b--\r\n", headers=headers)
    for path in ("/v1/predictions/" + "0" * 32, "/v1/nothing"):  # errors of other requests are no refusals
        assert client.get(path).status_code == 404

    assert [answer.status_code for answer in answers] == [422, 400, 415]
    assert [item["status"] for item in several.json()] == [422, 200]
    assert stow.status_code == 202
    codes = {detail["code"] for detail in answers[0].json()["errors"]}
    others = {answer.json()["code"] for answer in answers[1:]}
    assert len(codes) == 2
    after = refused_by(client)
    assert {code: after[code] - before[code] for code in after} == dict.fromkeys(codes, 3) | dict.fromkeys(others, 1)


def test_a_refusal_counts_under_each_of_its_reasons() -> None:
    gate = UnsuitableImage(tuple(Reason(code, "") for code in ("one", "two", "one")))

    assert refused.codes(gate) == ("one", "two")
    assert refused.codes(Overloaded("", "not_ready")) == ("not_ready",)
    assert refused.codes(KeyError("a value")) == ("internal_error",)


def test_statistics_and_their_table_say_the_same(client: Client, id: str) -> None:
    assert client.request("POST", f"/v1/predictions/{id}/opened").json()["at"]
    record = client.get(f"/v1/predictions/{id}").json()
    label, week = record["findings"][0]["label"], week_name(datetime.fromisoformat(record["created"]).date())
    path = f"/v1/predictions/{id}/opinions"
    assert client.request("POST", path, json={"label": label, "opinion": "agree", "by": "AB"}).status_code == 200

    today = datetime.now(UTC).date()
    statistics = counted(client)
    assert today <= statistics.last <= datetime.now(UTC).date()  # midnight may be in between
    response = client.get(f"/v1/statistics.csv?last={statistics.last}")

    table = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="statistics_{statistics.first}_{statistics.last}.csv"' in response.headers["content-disposition"]
    values = {(row["week"], row["measure"], row["group"], row["statistic"]): row["value"] for row in table}
    assert len(values) == len(table)
    (arrived,) = statistics.arrivals
    assert (arrived.week, arrived.count) == (week, 1)
    assert values[arrived.week, "arrivals", arrived.priority, "count"] == "1"
    (whole, weekly) = (row for row in statistics.waiting if row.stage == "received_to_opened")
    assert (whole.week, weekly.week) == (None, arrived.week)
    assert values["", "received_to_opened", whole.priority, "p95_s"] == str(whole.p95_s)
    (opinion,) = statistics.opinions
    assert (opinion.finding, opinion.opinion, opinion.count) == (label, "agree", 1)
    result = {True: "positive", False: "negative", None: "no_operating_point"}[opinion.positive]
    assert values[week, "opinions", label, f"agree_{result}"] == "1"
    assert id not in response.text


def test_opinions_are_kept_with_who_and_when(client: Client, id: str) -> None:
    path = f"/v1/predictions/{id}/opinions"
    label = client.get(f"/v1/predictions/{id}").json()["findings"][1]["label"]

    def give(opinion: str | None, by: str) -> dict[str, Any]:
        return dict(client.request("POST", path, json={"label": label, "opinion": opinion, "by": by}).json())

    give("agree", "AB")
    give("disagree", " CD\n")
    withdrawn = give(None, "AB")

    answer = client.get(path).json()
    assert answer == withdrawn
    history = [(row["opinion"], row["by"]) for row in answer["history"] if row["label"] == label]
    assert history == [("agree", "AB"), ("disagree", "CD"), (None, "AB")]
    assert [(row["opinion"], row["by"]) for row in answer["items"] if row["label"] == label] == [("disagree", "CD")]
    unnamed = client.request("POST", path, json={"label": label, "opinion": "agree"})
    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "reader_missing")
    unknown = client.request("POST", path, json={"label": "Fracture", "opinion": "agree", "by": "AB"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_finding")
    assert client.get(f"/v1/predictions/{'0' * 32}/opinions").status_code == 404


def test_the_period_is_twelve_weeks_by_default_and_bounded(client: Client) -> None:
    saturday = date(2026, 11, 28)
    assert period(Days(), saturday) == Period(date(2026, 9, 7), saturday)
    assert len(period(Days(), saturday).weeks()) == 12
    assert period(Days(first=saturday), saturday) == Period(saturday, saturday)
    for days in (Days(first=saturday + timedelta(days=1)), Days(first=date(2024, 11, 27))):
        with pytest.raises(InvalidRequest, match="730 days"):
            period(days, saturday)
    assert client.get("/v1/statistics?first=2026-11-28&last=2026-11-27").json()["code"] == "period_invalid"
    for day in ("0001-01-01", "1969-12-31", "3000-01-01", "9999-12-31"):
        assert client.get(f"/v1/statistics?last={day}").json()["code"] == "period_invalid"
        assert client.get(f"/v1/statistics?first={day}&last={day}").json()["code"] == "period_invalid"
    assert client.get("/v1/statistics?last=1970-01-01").status_code == 200
    assert client.get("/v1/statistics?from=2026-11-28").status_code == 400
    assert week_name(date(2027, 1, 3)) == "2026-W53"  # weeks and years of ISO 8601


def test_text_that_a_spreadsheet_would_run_is_disarmed() -> None:
    assert lines([("=1+1", "@SUM", -2, "a,b")]) == "'=1+1,'@SUM,-2,\"a,b\"\r\n"

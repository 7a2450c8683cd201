"""The query of each panel and of each alert, run by Debian's Prometheus that reads a service which has worked."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from model.labels import LABELS
from service.destinations import Destination, Sending
from service.exposition import KEEP_SECONDS, exposed
from service.metrics_settings import Metrics
from service.settings import Triage
from tests.factories import dicom_bytes, noise
from tests.observe.board import queries, resolved
from tests.observe.prometheus import Prometheus, configuration, prometheus
from tests.service.dimse.serving import acceptor, dcmtk, environment
from tests.service.metered import counted
from tests.service.serving import Client, serving, settings_for

# Metrics with which an alert is quiet while all is well. Those of the others compare nothing but numbers of these.
QUIET = {
    "TriageDown",
    "TriageNotReady",
    "TriageDatabaseDown",
    "TriageStorageDown",
    "TriageDiskNearlyFull",
    "TriageStatUnread",
    "TriageOutboxStuck",
    "TriageSendsGivenUp",
    "TriageRefusalsRising",
    "TriageDecodersReplaced",
}

# What Prometheus shows at the moment that the tests ask about
SEEN = (
    "count(up == 1) == 2",
    "increase(triage_predictions_total[1m]) > 0",
    "increase(triage_dimse_associations_total[1m]) > 0",
    'increase(triage_decoders_replaced_total{reason="killed"}[1m]) > 0',
    'increase(triage_sends_total{outcome="not_sent"}[1m]) > 0',
)
SENDS, NOT_SENT = "triage_sends_total", {"destination": "pacs", "outcome": "not_sent"}


@pytest.fixture(scope="module")
def seen(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run the service, the acceptor and Prometheus, and let them see some work between two scrapes."""
    folder = tmp_path_factory.mktemp("observed")
    nowhere = Destination(name="pacs", url="http://127.0.0.1:9/dicom-web")
    sending = Sending(destinations=(nowhere,), send_all=("pacs",), pause_seconds=3600)
    settings = settings_for(artefact, folder / "data").model_copy(
        update={"sending": sending, "triage": Triage(stat=LABELS)}
    )
    variables = environment(artefact, folder)
    with (
        serving(settings) as client,
        exposed(client.app.state.collectors, Metrics(), 0) as metrics,
        acceptor(variables, "http://127.0.0.1:9", folder / "log") as dimse,
    ):
        addresses = (urlsplit(url).netloc for url in (metrics, dimse.metrics))
        with prometheus(folder, configuration(*addresses)) as running:
            running.wait_for("triage_ready == 1")
            running.wait_for("triage_dimse_open_associations")
            times = 0
            # A series that appears with its first event shows the following ones alone, and each for a minute.
            while times < 2 or (missing := running.stay_where(*SEEN)):
                assert times < 4, missing
                times += 1
                work(client, 10 * times)
                store(dimse.port, folder)
                running.wait_for(f'{SENDS}{{destination="pacs",outcome="not_sent"}} >= {counted(SENDS, **NOT_SENT)}')
                running.wait_for(f"sum(triage_dimse_associations_total) >= {times}")
                # All of it, in answers of which no part was collected before, nor given again
                running.wait_for(f"min(timestamp(up)) > {time.time() + 2 * KEEP_SECONDS}")
            yield running


def work(client: Client, start: int) -> None:
    """Predict, refuse, lose a decoder process, and fail to send."""
    not_sent = counted(SENDS, **NOT_SENT)
    decoders = client.pipeline.predictor._decoders
    assert decoders is not None
    os.kill(client.runner.run(decoders._workers.run(os.getpid, (), 30)), signal.SIGKILL)
    for number in range(start, start + 3):
        answer = client.post(dicom_bytes(noise(seed=number), SOPInstanceUID=f"2.25.{number + 1}"))
        assert answer.json()["priority"] == "STAT"
    assert client.post(b"no DICOM").status_code == 400
    assert client.get("/v1/worklist").status_code == 200

    async def failed_to_send() -> None:
        async with asyncio.timeout(60):
            while counted(SENDS, **NOT_SENT) == not_sent:
                await asyncio.sleep(0.05)

    client.runner.run(failed_to_send())


def store(port: int, folder: Path) -> None:
    """Send a file by C-STORE, which fails, as there is no service behind this acceptor."""
    file = folder / "radiograph.dcm"
    file.write_bytes(dicom_bytes(noise(seed=1)))
    dcmtk("storescu", port, file)


def test_prometheus_reads_both_processes(seen: Prometheus) -> None:
    up = {series["metric"]["job"]: series["value"][1] for series in seen.query("up")}

    assert up == {"triage": "1", "triage-dimse": "1"}


@pytest.mark.parametrize(("title", "expression", "instant"), list(queries()))
def test_each_query_of_a_panel_has_a_series(seen: Prometheus, title: str, expression: str, instant: bool) -> None:
    expression = resolved(expression)

    series = seen.query(expression) if instant else seen.series_over_time(expression)

    assert series, f"{title}: {expression}"
    values = [each["value"][1] for each in series] if instant else [v for each in series for _, v in each["values"]]
    assert any(value != "NaN" for value in values), f"{title}: {expression}"


def rules(seen: Prometheus) -> dict[str, str]:
    return {rule["name"]: rule["query"] for group in seen.get("rules")["groups"] for rule in group["rules"]}


def test_each_alert_is_evaluated_and_quiet(seen: Prometheus) -> None:
    groups = seen.get("rules")["groups"]

    assert {rule["name"] for group in groups for rule in group["rules"]} == QUIET
    for rule in (rule for group in groups for rule in group["rules"]):
        assert rule["health"] in ("ok", "unknown"), rule
        assert rule["state"] in ("inactive", "pending"), rule  # none for long enough
        seen.query(rule["query"])


def test_each_metric_of_an_alert_has_a_series(seen: Prometheus) -> None:
    """An alert on a metric that nobody serves would be quiet for ever."""
    for name, query in rules(seen).items():
        selectors = re.findall(r"\b(?:triage_\w+|up)(?:\{[^}]*\})?(?:\[\w+\])?", query)
        assert selectors, name
        for selector in selectors:
            assert seen.query(selector), (name, selector)


def test_the_metrics_of_the_board_and_the_alerts_are_those_of_the_code(seen: Prometheus) -> None:
    served = set(seen.get("label/__name__/values"))
    named = {name for _, expression, _ in queries() for name in re.findall(r"\b(?:triage|process)_\w+", expression)}
    named |= {name for query in rules(seen).values() for name in re.findall(r"\btriage_\w+", query)}

    assert named <= served

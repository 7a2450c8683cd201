"""The structure of Grafana's board and provisioning; test_queries.py runs its queries."""

import re
from itertools import combinations
from typing import Any

import pytest

from tests.observe.board import FILE, board, panels
from tests.observe.prometheus import FOLDER

UNITS = {"none", "short", "s", "bytes", "percentunit", "reqps"}  # of Grafana's list
PROVISIONING = FOLDER / "grafana" / "provisioning"


def test_the_board_is_named_and_cannot_be_changed_by_accident() -> None:
    shown = board()

    assert shown["uid"] == "triage"
    assert shown["editable"] is False
    assert "not a medical device" in shown["description"]
    ids = [panel["id"] for panel in shown["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_the_data_source_that_is_provisioned(panel: dict[str, Any]) -> None:
    [uid] = re.findall(r"uid: (\w+)", (PROVISIONING / "datasources" / "prometheus.yml").read_text())
    source = {"type": "prometheus", "uid": uid}

    assert panel["datasource"] == source
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == source
        assert target["instant"] is not target["range"]
        assert target["expr"].strip()
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_the_unit_is_that_of_the_metric(panel: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        names = set(re.findall(r"(?:triage|process)_\w+", target["expr"]))
        if all(name.endswith("_bytes") for name in names):
            assert unit == ("percentunit" if "/" in target["expr"] else "bytes")
        if any(re.search(r"_seconds(_sum|_bucket)?$", name) for name in names):
            assert unit == "s"
        if unit == "bytes":
            assert all(name.endswith("_bytes") for name in names)


def test_no_panels_overlap() -> None:
    places = [panel["gridPos"] for panel in board()["panels"]]

    for place in places:
        assert 0 <= place["x"] <= 24 - place["w"]
    for one, other in combinations(places, 2):
        apart = any(
            first[at] + first[size] <= second[at]
            for first, second in ((one, other), (other, one))
            for at, size in (("x", "w"), ("y", "h"))
        )
        assert apart, (one, other)


def test_the_compose_file_mounts_what_the_provisioning_names(root: Any) -> None:
    compose = (root / "docker-compose.yml").read_text()
    provider = (PROVISIONING / "dashboards" / "triage.yml").read_text()
    [folder] = re.findall(r"path: (\S+)\}", provider)

    assert f"./docker/observe/grafana/dashboards:{folder}:ro" in compose
    assert f"DASHBOARD_PATH: {folder}/{FILE.name}" in compose
    assert "./docker/observe/grafana/provisioning:/etc/grafana/provisioning:ro" in compose
    assert "url: http://prometheus:9090" in (PROVISIONING / "datasources" / "prometheus.yml").read_text()
    for port in (9464, 9465):
        assert f"port: {port}," in (FOLDER / "prometheus.yml").read_text()
        assert f":{port}" not in compose  # the metrics are not published on the host

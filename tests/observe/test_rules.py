"""The configuration and the alert rules that ship, by Prometheus's own checks."""

import re
import subprocess
from pathlib import Path

from service.dimse.counts import REGISTRY
from service.http.app import create_app
from service.settings import SHIPPED_ARTEFACT
from tests.observe.prometheus import FOLDER, tool
from tests.service.metered import text
from tests.service.serving import settings_for


def promtool(*arguments: str, given: str = "") -> str:
    done = subprocess.run(
        [tool("promtool"), *arguments], cwd=FOLDER, input=given, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    assert "prometheus.yml is valid prometheus config file syntax" in promtool("check", "config", "prometheus.yml")


def test_each_rule_is_valid_and_has_a_test() -> None:
    alerts = re.findall(r"alert: (\w+)", (FOLDER / "rules.yml").read_text())
    cases = (FOLDER / "rules_test.yml").read_text()

    assert f"{len(alerts)} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yml")
    for alert in alerts:
        assert re.search(rf"alertname: {alert}, exp_alerts: \[\]", cases), f"{alert} has no test in which it is quiet"
        assert re.search(rf"alertname: {alert}\n +exp_alerts:\n", cases), f"{alert} has no test in which it fires"


def test_each_alert_fires_when_it_must_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_the_names_of_the_metrics_follow_the_conventions(tmp_path: Path) -> None:
    app = create_app(settings_for(SHIPPED_ARTEFACT, tmp_path))

    assert promtool("check", "metrics", given=text([*app.state.collectors, REGISTRY])) == ""
    app.state.pipeline.database.close()


def test_the_alerts_are_explained(root: Path) -> None:
    page = (root / "docs" / "deploy.md").read_text()
    alerts = re.findall(r"alert: (\w+)", (FOLDER / "rules.yml").read_text())

    assert alerts
    assert [alert for alert in alerts if f"| `{alert}` |" not in page] == []

from typing import Any

import pytest

from tests.training.report import documents
from tests.training.report.test_html_report import Reader, rendered
from training.report.decision_tables import decision_tables, panel

INTERVAL = [0.2, 0.4]


def decisions() -> dict[str, Any]:
    """Entries of `metrics.json` about decisions, for one finding."""
    about = {"split": "test", "label": "Mass", "images": 40}
    values = [
        {
            **about,
            "name": name,
            "basis": basis,
            "prevalence": share,
            "threshold": 0.3,
            "value": value,
            "interval": INTERVAL,
        }
        for basis, share in (("observed", 0.125), ("stated", 0.05))
        for name, value in (("ppv", share * 2), ("npv", 0.9), ("alert_rate", None))
    ]
    curve = {"thresholds": [0.1, 0.25, 0.5], "net_benefit": [0.05, 0.04, 0.0], "treat_all": [0.05, -0.01, -0.8]}
    rates = [
        {"split": "test", "name": name, "by": "sex", "group": group, "label": label, "labels": ["Mass"], "cases": 12}
        | {"value": 0.3, "interval": INTERVAL, "difference": gap, "difference_interval": gap and [-0.3, 0.1]}
        for name in ("sensitivity", "specificity")
        for group, gap in (("F", -0.1), ("M", None))
        for label in ("Mass", "macro")
    ]
    return {
        "calibration": {"source": "validation, tiny val", "images": 8},
        "predictive_values": values,
        "decision_curves": [{**about, "positives": 5, "intervals": [INTERVAL] * 3, **curve}],
        "group_rates": rates,
    }


@pytest.fixture(scope="module")
def read() -> Reader:
    slope = {**documents.about("calibration_slope", "test"), "label": "Mass", **documents.value(0.8)}
    error = {**documents.about("calibration_error", "test"), "label": "macro", **documents.value(0.2)}
    metrics = documents.metrics_document()
    reader = Reader()
    reader.feed(rendered({**metrics, **decisions(), "metrics": [*metrics["metrics"], slope, error]}))
    assert not reader.open
    return reader


def test_predictive_values_name_their_prevalence(read: Reader) -> None:
    assert read.row("Mass", "observed") == [
        "Mass",
        "0.125 observed",
        "0.250 (0.200 to 0.400)",
        "0.900 (0.200 to 0.400)",
        "n/a",
    ]
    assert read.row("Mass", "stated")[1:3] == ["0.050 stated", "0.100 (0.200 to 0.400)"]


def test_groups_have_rates_and_differences(read: Reader) -> None:
    rate, difference = "0.300 (0.200 to 0.400)", "−0.100 (−0.300 to +0.100)"
    rows = [[" ".join(cell.split()) for cell in row] for row in read.rows]
    assert ["sex", "F", rate + "1 finding", difference, rate + "1 finding", difference] in rows
    assert ["sex", "M", rate + "12 images", "n/a", rate + "12 images", "n/a"] in rows


def test_calibration_has_a_row_for_each_finding_and_all(read: Reader) -> None:
    rows = [[" ".join(cell.split()) for cell in row] for row in read.rows]
    assert ["Mass", "0.800 (0.700 to 0.900)", "n/a", "n/a", "n/a", "n/a", "n/a"] in rows
    assert ["all (macro)", "n/a", "n/a", "0.200 (0.100 to 0.300)", "n/a", "n/a", "n/a"] in rows


def test_a_decision_curve_by_hand() -> None:
    """The upper end is 0.05, the lower a quarter of that below 0, so that 0 is at four fifths of the height."""
    drawn = panel(decisions()["decision_curves"][0])
    assert (drawn.end, drawn.zero, drawn.note) == (0.05, 80, "5 of 40")
    assert drawn.lines["fusion"] == "20,0 50,16 100,80"
    assert drawn.lines["all"] == "20,0 50,96"  # the last point is below the frame


def test_a_run_without_calibration_says_so() -> None:
    page = rendered({**documents.metrics_document(), "calibration": {"source": None, "images": 0}})
    assert "the run kept no image apart" in page
    assert "selected the epochs" in rendered({**documents.metrics_document(), **decisions()})


def test_without_such_entries_nothing_is_shown() -> None:
    assert not any(decision_tables({}).values())
    page = rendered(documents.metrics_document())
    for words in ("Alert rate", "Decision curves", "minus that of the others", "Calibrated on"):
        assert words not in page

"""Scores against adjudicated labels on paper: the section of the report and the lines of the summary."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.report.adjudicated_summary import adjudicated_lines
from training.report.html_report import number, span, words

ABOUT = {"finding": "Nodule or mass", "labels": ["Nodule", "Mass"], "images": 49}
RATE = {"value": 0.25, "interval": [0.1, 0.5]}
METRICS: dict[str, Any] = {
    "adjudicated": {
        "source": "labels.csv",
        "split": "test",
        "images": 50,
        "scores": [
            {**ABOUT, "against": against, "positives": positives, "auroc": auroc, "sensitivity": RATE}
            | {"specificity": None}
            for against, positives, auroc in (
                ("adjudicated", 7, {"value": 0.8123, "interval": [0.7, 0.9]}),
                ("published", 0, {"value": None, "interval": None}),
            )
        ],
        "agreement": [
            {**ABOUT, "adjudicated": 7, "published": 0, "sensitivity": RATE, "ppv": None}
            | {"kappa": {"value": 0.4321, "interval": None}}
        ],
        "left_out": ["Fracture"],
    }
}


def rendered(metrics: dict[str, Any]) -> str:
    environment = Environment(loader=PackageLoader("training.report", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"number": number, "span": span, "words": words}
    return environment.get_template("adjudicated.jinja").render(metrics=metrics)


def test_the_section_has_both_kinds_of_labels_and_their_agreement() -> None:
    page = rendered(METRICS)
    assert "<td>adjudicated</td><td>7 of 49</td><td>0.812 <small>(0.700 to 0.900)</small></td>" in page
    assert "<td>published</td><td>0 of 49</td><td>n/a <small></small></td>" in page
    assert "<td>7, 0</td><td>0.250 <small>(0.100 to 0.500)</small></td><td>n/a</td><td>0.432" in page
    assert "No label corresponds to Fracture." in page


def test_an_evaluation_without_adjudicated_labels_has_no_section() -> None:
    assert rendered({}).strip() == ""
    assert list(adjudicated_lines({})) == []


def test_the_summary_names_both_kinds_of_labels() -> None:
    assert list(adjudicated_lines(METRICS)) == [
        "test, 49 adjudicated images, Nodule or mass: AUROC 0.812 against adjudicated labels (7 positive), "
        "n/a against published labels (0 positive); κ 0.43"
    ]

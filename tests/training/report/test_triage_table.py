"""The triage table on paper: the section of the report and the lines of the summary."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.report.html_report import number, span, words
from training.report.triage_summary import triage_lines

TABLE: dict[str, Any] = {
    "split": "test",
    "images": 40,
    "rule": {"STAT": ["Pneumothorax"], "HIGH": ["Mass"]},
    "without_operating_point": ["Mass"],
    "priorities": {"STAT": 3, "HIGH": 0, "ROUTINE": 37},
    "findings": [
        {"label": label, "positives": 4, "STAT": stat, "HIGH": 0, "ROUTINE": 4 - stat}
        | {"alerted": {"value": stat / 4, "interval": [0.0, 0.5]}}
        for label, stat in (("Mass", 0), ("Pneumothorax", 2), ("Pleural_Thickening", 1), ("urgent", 2))
    ]
    + [
        {"label": "No Finding", "positives": 0, "STAT": 0, "HIGH": 0, "ROUTINE": 0}
        | {"alerted": {"value": None, "interval": None}}
    ],
    "order": [
        {"label": "urgent", "positives": 8, "images": 40, "auroc": {"value": 0.7512, "interval": [0.7, 0.8]}}
        | {"precision": {"10": 0.4, "20": 0.25, "50": None}},
        {"label": "Pneumothorax", "positives": 0, "images": 40, "auroc": {"value": None, "interval": None}}
        | {"precision": {"10": 0.0, "20": 0.0, "50": None}},
    ],
}  # fmt: skip


def rendered(metrics: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("training.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": number, "span": span, "words": words}
    return environment.get_template("triage_table.jinja").render(metrics=metrics)


def row(page: str, label: str) -> list[str]:
    """Cells of the first row with this head, as text."""
    line = next(line for line in page.splitlines() if f'<th scope="row">{label}</th>' in line)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", line)]


def test_the_section_has_the_counts_and_the_order() -> None:
    page = rendered({"triage": [TABLE]})
    assert row(page, "Pneumothorax") == ["Pneumothorax", "4", "2", "0", "2", "0.500 (0.000 to 0.500)"]
    assert row(page, "Pleural Thickening")[0] == "Pleural Thickening"
    assert row(page, "No Finding") == ["No Finding", "0", "0", "0", "0", "n/a"]
    order = page[page.index("order for") :]
    assert row(order, "urgent") == ["urgent", "8 of 40", "0.751 (0.700 to 0.800)", "0.400", "0.250", "n/a"]
    assert "without effect: Mass" in page


def test_an_evaluation_without_a_test_list_has_no_section() -> None:
    assert rendered({}).strip() == ""
    assert list(triage_lines({})) == []


def test_the_summary_says_who_waits() -> None:
    reasons = {"Hernia": "8 positives, fewer than 10"}
    assert list(triage_lines({"operating_points_missing": reasons, "triage": [TABLE]})) == [
        "Hernia: no operating point: 8 positives, fewer than 10",
        "test, 40 images, Pneumothorax: 4: 2 STAT, 0 HIGH, 2 ROUTINE",
        "test, 40 images, Mass: 4: 0 STAT, 0 HIGH, 4 ROUTINE",
        "test, 40 images, urgent: 4: 2 STAT, 0 HIGH, 2 ROUTINE",
        "test, 40 images, No Finding: n/a alerted",
        "test, 40 images, order for urgent: AUROC 0.751 (0.700-0.800); "
        "precision 0.40 of the first 10, 0.25 of the first 20, n/a of the first 50",
        "test, 40 images, order for Pneumothorax: AUROC n/a; "
        "precision 0.00 of the first 10, 0.00 of the first 20, n/a of the first 50",
    ]

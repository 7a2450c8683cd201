import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from model.labels import LABELS
from tests.training.cases import cases, predicted
from tests.training.report.documents import SPLITS, document, metrics_document
from training.evaluation.calibration import Calibration
from training.evaluation.characteristics import characteristics
from training.evaluation.predictions import Predictions
from training.report.checklist import answers, tally
from training.report.flow import step
from training.report.html_report import NOTICE, Picture, Shown, leading, render, signed, verdict

PLANTED = "<script>alert(1)</script>"
VOID = {"meta", "img", "br"}


def predictions_of_test_list() -> Predictions:
    """Forty images, half of collection B; without Hernia, every other finding in every third."""
    targets = np.zeros((40, 14))
    targets[::3, :-1] = 1
    logits = np.random.default_rng(0).normal(size=(3, 40, 14))
    return predicted(logits, cases(targets, ("A", "B")))


def picture(name: str = "00000001_000.png", findings: tuple[str, ...] = ("Mass",)) -> Picture:
    probabilities = {label: place / 20 for place, label in enumerate(LABELS)}
    canvas = np.full((1, 64, 64), 0.5, np.float32)
    return Picture(
        name, canvas, np.eye(7, dtype=np.float32), np.array([0, 0, 1, 1], np.float32), probabilities, findings
    )


def rendered(metrics: dict[str, Any], *pictures: Picture) -> str:
    return render(
        metrics, predictions_of_test_list(), Calibration(np.ones((3, 14)), np.zeros((3, 14))), Shown(pictures)
    )


@pytest.fixture(scope="module")
def page() -> str:
    return rendered({**document(), **metrics_document()}, picture(), picture(PLANTED, (PLANTED,)))


class Reader(HTMLParser):
    """A parser that refuses unclosed tags and collects every start tag and the cells of every table row."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, head: str, containing: str = "") -> list[str]:
        rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        return next(row for row in rows if row and row[0] == head and containing in " ".join(row))


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def test_loads_nothing_from_other_hosts(page: str, read: Reader) -> None:
    assert not re.search(r"https?:|url\(|@import", page)
    attributes = [pair for _, pairs in read.tags for pair in pairs.items()]
    sources = [value for name, value in attributes if name == "src"]
    assert len(sources) == 2
    assert all(value and value.startswith("#") for name, value in attributes if name == "href")
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in read.tags}


def test_the_notice_is_at_both_ends(page: str) -> None:
    assert page.count(NOTICE) == 2
    assert page.index(NOTICE) < page.index("What was evaluated")
    assert page.rindex(NOTICE) > page.index("How to read this")


def test_names_are_escaped(page: str) -> None:
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3  # the name, its alternative text, its finding


def test_names_network_data_and_commit(page: str) -> None:
    assert "backbone squeezenet1_1, canvas size 64" in page
    assert "0" * 40 in page
    assert "tiny train: 24 images of 12 patients (stages global)" in page
    assert "test, collection B: 20 images of 30 patients" in page


def test_the_relevant_split_is_marked(read: Reader) -> None:
    interval = "0.654 (0.554 to 0.754)"
    assert read.row("test") == ["test", interval, interval, interval, "0.800 (0.700 to 0.900)", "13, without Hernia"]
    assert read.row("test, collection B (relevant)")[4:] == ["n/a", "13, without Hernia"]


def test_without_collections_no_split_is_marked() -> None:
    alone = {**metrics_document(), "metrics": [row for row in metrics_document()["metrics"] if row["split"] == "test"]}
    assert "(relevant)" not in rendered(alone)


def test_every_finding_has_a_row_with_na_for_undefined_scores(read: Reader) -> None:
    mass = LABELS.index("Mass")
    figure = f"{0.5 + mass / 100:.3f} ({0.4 + mass / 100:.3f} to {0.6 + mass / 100:.3f})"
    assert read.row("Mass", "0.540") == ["Mass", "5", *[figure] * 7]
    assert read.row("Hernia", "Hernia 0") == ["Hernia", "0", *["n/a"] * 7]
    assert read.row("Hernia", "too few") == ["Hernia", "n/a: too few positives to fix one"]
    assert len(read.row("Pleural Thickening")) == 9


def test_the_gain_of_the_local_branch_in_words_and_by_finding(page: str, read: Reader) -> None:
    assert "fusion − global, test: −0.012 (−0.030 to +0.010): <strong>no difference shown</strong>" in page
    assert "local − global, test: −0.050 (−0.080 to −0.020): <strong>local scores lower</strong>" in page
    assert read.row("Mass", "+") == ["Mass", "+0.020 (−0.100 to +0.140)", "n/a"]
    assert ["Hernia", "n/a", "n/a"] in [[" ".join(cell.split()) for cell in row] for row in read.rows]


def test_operating_points_with_their_rates_on_test(read: Reader) -> None:
    rates = ["0.400 (0.300 to 0.500)", "0.950 (0.900 to 0.980)"]
    assert read.row("Mass", "0.310") == ["Mass", "0.310", *rates, "n/a", "10", *rates]


def test_subgroups_and_localisation(read: Reader) -> None:
    assert read.row("sex") == ["sex", "F", "0.710 (0.610 to 0.810)40 images, 1 finding", "n/a"]
    share = "0.250 (0.150 to 0.350)"
    assert read.row("IoU > 0.1") == ["IoU > 0.1", share, "", share, share, ""]  # a class map has a peak and no box
    assert read.row("pointing game") == ["pointing game", *[share] * 5]


@pytest.mark.parametrize("kind", ["ROC", "Precision–recall", "Reliability"])
def test_every_finding_has_a_panel_in_every_split(page: str, read: Reader, kind: str) -> None:
    assert page.count(f"<h3>{kind}: ") == len(SPLITS)
    drawn = [attributes["aria-label"] for tag, attributes in read.tags if tag == "svg" and "aria-label" in attributes]
    for label in LABELS[:-1]:
        assert len([text for text in drawn if text and text.startswith(f"{kind}, {label.replace('_', ' ')}:")]) == 2
    assert page.count("n/a: only one class") == 3 * len(SPLITS)  # Hernia


def test_tables_and_pictures_are_accessible_to_screen_readers(read: Reader) -> None:
    assert all(attributes.get("scope") for tag, attributes in read.tags if tag == "th")
    assert all(attributes.get("alt") for tag, attributes in read.tags if tag == "img")
    assert all(
        attributes.get("aria-label") or attributes.get("aria-hidden") for tag, attributes in read.tags if tag == "svg"
    )


def test_rendering_is_reproducible(page: str) -> None:
    assert rendered({**document(), **metrics_document()}, picture(), picture(PLANTED, (PLANTED,))) == page


def test_missing_sections_are_named() -> None:
    bare = {**metrics_document(), **{name: [] for name in ("differences", "subgroups", "localisation", "compared")}}
    page = rendered(bare)
    for words in ("none was computed", "no image has a drawn box", "none was drawn"):
        assert words in page


def test_patient_flow_table_1_failures_and_checklists() -> None:
    """One of two patients of unknown age; every second image has a Mass."""
    test = predictions_of_test_list()
    truth = cases(np.tile([[0.0], [np.nan], [1.0], [1.0]], (1, 14)))
    numbers = {"images": 4, "patients": 3}
    metrics = {
        **metrics_document(),
        "flow": {
            "folders": [
                {
                    "name": "ours",
                    "used": ["test"],
                    "source": numbers,
                    "excluded": [],
                    "splits": [{"split": "test", **numbers}],
                }
            ],
            "training_folders": [],
            "uses": [step("scored", "test", numbers, numbers, "")],
        },
        "characteristics": characteristics({"train": (), "test": truth}, LABELS),
        "failures": [{"label": "Mass", "kind": "negative", "image": "1.png", "probability": 0.9}],
        "failures_of": "test",
    }
    filled = answers({"metrics": metrics})
    shown = Shown(failures={"1.png": picture("1.png")}, checklists=filled)
    page = render(metrics, test, Calibration(np.ones((3, 14)), np.zeros((3, 14))), shown)
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert "Patient flow: scored 4 images of 3 patients" in page
    assert "The training data were not found" in page
    assert reader.row("Age missing, patients") == ["Age missing, patients", "0", "4 (100.0 %)"]
    assert reader.row("Age in years, median") == ["Age in years, median", "n/a", "n/a"]
    assert reader.row("Hernia", "unknown") == ["Hernia", "0", "2 (66.7 %), 1 unknown"]
    assert "Radiograph 1.png, labelled negative for Mass, with the heat map" in page
    assert "<strong>absent, 0.900</strong>" in page
    assert "<small>threshold 0.310</small>" in page
    answered = sum(tally(each)["answered"] for _, each in filled)
    assert len([row for row in reader.rows if len(row) == 5 and row[2] == "answered"]) == answered > 0
    ids = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    targets = {str(attributes["href"]) for tag, attributes in reader.tags if tag == "a"}
    assert {target.removeprefix("#") for target in targets} <= ids
    assert {"#flow", "#table-one", "#failures", "#checklists"} <= targets


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ([-0.03, 0.01], "no difference shown"),
        ([0.0, 0.01], "no difference shown"),
        ([0.001, 0.01], "fusion scores higher"),
        ([-0.03, -0.01], "fusion scores lower"),
        (None, "undefined"),
    ],
)
def test_verdict(interval: list[float] | None, words: str) -> None:
    assert verdict({"branch": "fusion", "value": 0.0, "interval": interval}) == words


def test_differences_have_a_sign() -> None:
    assert signed({"value": -0.012, "interval": [-0.03, 0.01]}) == "−0.012 (−0.030 to +0.010)"
    assert signed({"value": None, "interval": None}) == "n/a"


def test_a_picture_lists_the_five_highest_findings_and_those_present() -> None:
    names = [label for label, _ in leading(picture(findings=("Cardiomegaly",)))]
    assert names == [*LABELS[:-6:-1], "Cardiomegaly"]

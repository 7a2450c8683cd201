"""The report and the checklists of an evaluated run, as files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import Predictions
from training.report.checklist import answers, markdown
from training.report.html_report import Shown, render
from training.report.pictures import pictures, small_pictures
from training.report.sections import SECTIONS

REPORT, CHECKLIST = "report.html", "checklist.md"
OF_RUN = ("network", "commit", "training_data")  # entries of run.json that the report shows


@dataclass(frozen=True)
class Drawn:
    """What the pictures and curves of a report are drawn from; `test` is in the order of `images`."""

    network: Agcnn
    images: Canvases
    test: Predictions
    calibration: Calibration


def write_report(run: Path, documents: Mapping[str, Mapping[str, Any]], drawn: Drawn) -> None:
    """Write report.html and checklist.md to a run folder.

    Parameters
    ----------
    documents
        Name to content of `run`, `plan`, `metrics` and `card`; empty for those that the run does not have.
    """
    metrics, checklists = documents["metrics"], answers(documents)
    source = (drawn.network, drawn.images, drawn.test, drawn.calibration)
    wrong = small_pictures(*source, (row["image"] for row in metrics["failures"]))
    content = {name: documents["run"][name] for name in OF_RUN} | dict(metrics)
    page = render(content, drawn.test, drawn.calibration, Shown(pictures(*source), wrong, checklists))
    (run / REPORT).write_text(page, encoding="utf-8")
    (run / CHECKLIST).write_text(markdown(checklists, SECTIONS), encoding="utf-8")

import numpy as np
import pytest

from tests.training.cases import cases, predicted
from training.evaluation.calibration import Calibration
from training.report.panels import path, plots

PLAIN = Calibration(np.ones((3, 14)), np.zeros((3, 14)))


def test_panels_by_hand() -> None:
    """Two images, the positive above: straight up, then to the right."""
    targets = np.zeros((2, 14))
    targets[0] = 1
    logits = np.zeros((3, 2, 14))
    logits[:, 0] = 1
    roc, recall, reliable = plots(predicted(logits, cases(targets)), PLAIN)
    assert roc.panels[0].lines == {"fusion": "0,100 0,0 100,0", "global": "0,100 0,0 100,0"}
    assert recall.panels[0].lines["fusion"] == "0,0 100,0 100,50 100,50"
    assert reliable.panels[0].lines["fusion"] == path(np.array([[(0.5 + 1 / (1 + np.exp(-1))) / 2, 0.5]]))
    assert (reliable.panels[0].note, reliable.panels[0].end) == ("1 of 2", 1.0)


@pytest.mark.parametrize("value", [0, 1])
def test_a_finding_of_one_class_has_no_lines(value: float) -> None:
    samples = predicted(np.zeros((3, 4, 14)), cases(np.full((4, 14), value)))
    for kind in plots(samples, PLAIN):
        assert [panel.lines for panel in kind.panels] == [{}] * 14


def test_unknown_labels_are_left_out() -> None:
    targets = np.tile([[1.0], [0.0], [np.nan]], (1, 14))
    roc, _, _ = plots(predicted(np.zeros((3, 3, 14)), cases(targets)), PLAIN)
    assert roc.panels[0].note == "1 of 2"
    assert roc.panels[0].lines["fusion"] == "0,100 100,0"  # one score: a tie


@pytest.mark.parametrize(("logit", "end"), [(-5, 0.05), (-2.5, 0.1), (-1.5, 0.2), (-0.5, 0.5), (1, 1.0)])
def test_axes_of_reliability_end_where_the_data_does(logit: float, end: float) -> None:
    """A thousand images in fifteen bins, so rare that no bin's share reaches the axis's end before the probability."""
    targets = np.zeros((1000, 14))
    targets[0] = 1
    reliable = plots(predicted(np.full((3, 1000, 14), logit), cases(targets)), PLAIN)[2]
    assert reliable.panels[0].end == end

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.sample import Box, Case
from training.evaluation.localisation import centred_boxes, fixed_cells, inside, localisation, overlaps, random_boxes
from training.evaluation.predictions import Predictions
from training.evaluation.scores import Part

EDGE = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)


def case(name: str, boxes: dict[str, tuple[Box, ...]], patient: str = "") -> Case:
    return Case(name, patient or name, (0.0,) * 14, boxes=boxes)


def part(*rows: tuple[Case, Box, tuple[float, float]]) -> Part:
    boxes, peaks = (np.array([row[place] for row in rows], np.float32) for place in (1, 2))
    predicted = Predictions(np.zeros((3, len(rows), 14), np.float32), boxes, peaks, tuple(row[0] for row in rows))
    return Part("test", predicted, ())


def share(
    samples: Part, measure: str, at: float | None, by: str = "attention", label: str = "all"
) -> dict[str, object]:
    expected = {"measure": measure, "at": at, "by": by, "label": label}
    return next(row for row in localisation(samples) if expected.items() <= row.items())


ONE = part((case("a", {"Mass": ((0.0, 0.0, 0.5, 0.5),)}), (0.25, 0.0, 0.75, 0.5), (0.4, 0.1)))


def test_overlaps_by_hand() -> None:
    iou, iobb = overlaps(np.array([[0.25, 0, 0.75, 0.5]]), np.array([[0, 0, 0.5, 0.5]]))
    assert (iou[0], iobb[0]) == (pytest.approx(1 / 3), 0.5)
    apart, _ = overlaps(np.array([[0.5, 0.5, 1, 1]]), np.array([[0, 0, 0.5, 0.5]]))
    assert apart[0] == 0
    none, share_of_none = overlaps(np.array([[0.2, 0.2, 0.2, 0.4]]), np.array([[0, 0, 0.5, 0.5]]))
    assert (none[0], share_of_none[0]) == (0, 0)


@settings(deadline=None)
@given(st.tuples(EDGE, EDGE), st.tuples(EDGE, EDGE))
def test_overlaps_are_those_of_rasters(one: tuple[list[int], list[int]], two: tuple[list[int], list[int]]) -> None:
    masks = [np.zeros((12, 12), bool) for _ in range(2)]
    for mask, (x, y) in zip(masks, (one, two), strict=True):
        mask[y[0] : y[1], x[0] : x[1]] = True
    boxes = [np.array([[x[0], y[0], x[1], y[1]]]) / 12 for x, y in (one, two)]
    iou, iobb = overlaps(*boxes)
    both = (masks[0] & masks[1]).sum()
    assert iou[0] == pytest.approx(both / max(1, (masks[0] | masks[1]).sum()))
    assert iobb[0] == pytest.approx(both / max(1, masks[0].sum()))


def test_one_box_by_hand() -> None:
    assert [share(ONE, "iou", at)["value"] for at in (0.1, 0.3, 0.4)] == [1, 1, 0]  # 1/3
    assert [share(ONE, "iobb", at)["value"] for at in (0.4, 0.5, 0.6)] == [1, 0, 0]  # 1/2 is not above 0.5
    assert share(ONE, "pointing", None)["value"] == 1
    assert share(ONE, "pointing", None, "random")["value"] == 0.25  # its area
    assert share(ONE, "pointing", None, "centre")["value"] == 0  # the end is exclusive
    assert share(ONE, "iou", 0.1, "centre")["value"] == 1  # 1/16 over 7/16
    assert share(ONE, "iou", 0.2, "centre")["value"] == 0


def test_the_score_of_the_random_box_is_its_integral() -> None:
    # a box of half the side at (x, y), both uniform in 0 ... 1/2, covers (1 - 2x)(1 - 2y) of the drawn one: uv > T with
    # u, v uniform in 0 ... 1 has the chance 1 - T + T log T
    many = part(*[(case(str(n), {"Mass": ((0, 0, 0.5, 0.5),)}), (0.0, 0.0, 0.5, 0.5), (0.5, 0.5)) for n in range(100)])
    for at in (0.1, 0.5, 0.7):
        value = share(many, "iobb", at, "random")["value"]
        assert value == pytest.approx(1 - at + at * np.log(at), abs=0.02)


def test_every_drawn_box_counts_and_labels_are_separate() -> None:
    boxes = {"Mass": ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)), "Nodule": ((0.0, 0.0, 0.4, 0.4),)}
    hits = part(
        (case("a", boxes), (0, 0, 0.5, 0.5), (0.1, 0.1)),
        (case("b", {}), (0, 0, 1, 1), (0.5, 0.5)),
        (case("c", {"Nodule": ((0.8, 0.8, 1.0, 1.0),)}), (0, 0, 0.5, 0.5), (0.1, 0.1)),
    )
    whole = share(hits, "pointing", None)
    assert (whole["images"], whole["boxes"], whole["value"]) == (2, 4, 0.5)
    assert share(hits, "iou", 0.7, label="Mass")["value"] == 0.5
    assert share(hits, "iou", 0.6, label="Nodule") | {"interval": None} == {
        "split": "test", "measure": "iou", "at": 0.6, "by": "attention", "label": "Nodule",
        "images": 2, "boxes": 2, "value": 0.5, "interval": None,
    }  # fmt: skip
    assert {row["label"] for row in localisation(hits)} == {"Mass", "Nodule", "all"}
    assert len(localisation(hits)) == 3 * ((7 + 7 + 1) * 3 + 1)


def test_the_fixed_cell_lies_in_most_boxes_of_other_patients() -> None:
    left, right = (0.0, 0.0, 0.25, 0.125), (0.875, 0.0, 1.0, 1.0)  # two cells of 8 x 8 in the corner; the last column
    truth = np.array([left, left, left, right])
    corner, column = (0.0625, 0.0625), (0.9375, 0.0625)
    np.testing.assert_allclose(fixed_cells(truth, ["p", "q", "r", "s"]), [corner] * 4)
    # a patient's own boxes do not count: for p only that on the right is left
    np.testing.assert_allclose(fixed_cells(truth, ["p", "p", "p", "s"]), [column] * 3 + [corner])
    np.testing.assert_allclose(fixed_cells(truth, ["p"] * 4), [(0.5, 0.5)] * 4)
    hits = part(
        *[(case(name, {"Mass": (left,)}), (0.0, 0.0, 1.0, 1.0), (0.9, 0.9)) for name in "abc"],
        (case("d", {"Mass": (right,)}), (0.0, 0.0, 1.0, 1.0), (0.9, 0.9)),
    )
    assert share(hits, "pointing", None)["value"] == 0.25
    assert share(hits, "pointing", None, "fixed cell")["value"] == 0.75


def test_patients_are_resampled_whole() -> None:
    box = {"Mass": ((0.0, 0.0, 0.5, 0.5),)}
    hit, miss = ((0.0, 0.0, 0.5, 0.5), (0.1, 0.1)), ((0.5, 0.5, 1.0, 1.0), (0.9, 0.9))
    alone = part((case("a", box, "p"), *hit), (case("b", box, "p"), *miss))
    assert share(alone, "pointing", None)["interval"] == [0.5, 0.5]
    two = part((case("a", box, "p"), *hit), (case("b", box, "q"), *miss))
    assert share(two, "pointing", None)["interval"] == [0, 1]


def test_no_boxes_no_rows() -> None:
    assert localisation(part((case("a", {}), (0, 0, 1, 1), (0.5, 0.5)))) == []


def test_controls_have_the_attention_box_s_size_and_stay_inside() -> None:
    boxes = np.array([[0.1, 0.2, 0.4, 0.9], [0.0, 0.0, 1.0, 1.0]])
    for placed in (centred_boxes(boxes)[None], random_boxes(boxes)):
        np.testing.assert_allclose(
            placed[..., 2:] - placed[..., :2], np.broadcast_to(boxes[:, 2:] - boxes[:, :2], placed[..., 2:].shape)
        )
        assert placed.min() >= 0
        assert placed.max() <= 1 + 1e-12
    np.testing.assert_allclose(centred_boxes(boxes)[0], [0.35, 0.15, 0.65, 0.85])
    np.testing.assert_array_equal(random_boxes(boxes), random_boxes(boxes))


def test_inside_begins_at_the_edge_and_ends_before_it() -> None:
    box = np.array([[0.2, 0.2, 0.4, 0.4]] * 3)
    np.testing.assert_array_equal(inside(np.array([[0.2, 0.2], [0.4, 0.3], [0.3, 0.39]]), box), [1, 0, 1])

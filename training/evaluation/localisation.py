"""Overlap of the attention box and the maps' peaks with the boxes that radiologists drew, and with controls.

There is one attention box and one heat map per image, not per finding, so they are compared with every box drawn on the
image; a class map is compared with the boxes of its finding. The controls
are a box of the same size placed at random, and one in the middle; for the peak also the fixed cell that lies in most
of the boxes of other patients, as findings have usual places.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from training.data.sample import Floats
from training.evaluation.bootstrap import Resamples, entry, resamples
from training.evaluation.metrics import Numbers, quotient
from training.evaluation.scores import Part, Row

AT = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # Wang et al. 2017, and the AG-CNN paper's table
DRAWS = 100
CELLS = 8  # along each side, of the grid that the fixed cell is one of


def localisation(part: Part) -> list[Row]:
    """Return the share of drawn boxes that were hit, per finding and for all, with patient-bootstrap intervals.

    `iou` and `iobb` (intersection over the area of the detected box): the share of boxes whose value is above `at`;
    `pointing`: the share of boxes that contain the peak of the heat map, or of their finding's class map, with a random
    point, the middle and a fixed cell as controls.
    There are no rows if the images have no boxes.
    """
    predicted = part.predictions
    drawn = [
        (row, label, box)
        for row, case in enumerate(predicted.cases)
        for label, boxes in case.boxes.items()
        for box in boxes
    ]
    if not drawn:
        return []
    images = np.array([row for row, _, _ in drawn])
    labels = np.array([label for _, label, _ in drawn])
    truth = np.array([box for _, _, box in drawn], np.float64)  # [boxes, 4]
    owners = [predicted.cases[row].patient for row in images]
    measured = list(box_scores(truth, predicted.boxes[images].astype(np.float64), predicted.peaks[images]))
    fixed = inside(fixed_cells(truth, owners), truth)
    measured.append(({"measure": "pointing", "at": None, "by": "fixed cell"}, fixed))
    if predicted.class_peaks is not None and set(labels) <= set(predicted.labels):
        columns = [predicted.labels.index(label) for label in labels]
        own = inside(predicted.class_peaks[images, columns], truth)
        measured.append(({"measure": "pointing", "at": None, "by": "class map"}, own))
    values = np.stack([column for _, column in measured], 1)  # [boxes, measures]
    patients = resamples(owners)
    rows = []
    for label in [*(label for label in predicted.labels if label in labels), "all"]:
        chosen = np.ones(len(labels), bool) if label == "all" else labels == label
        shares = means(values[chosen], replace(patients, owner=patients.owner[chosen]))
        about = {"split": part.split, "label": label}
        counts = {"images": len(set(images[chosen].tolist())), "boxes": int(chosen.sum())}
        rows += [
            {**about, **what, **counts, **entry(column)} for (what, _), column in zip(measured, shares.T, strict=True)
        ]
    return rows


def means(values: Numbers, patients: Resamples) -> Numbers:
    """Return the mean over the boxes of values `[boxes, M]` on every resample: `[1 + R, M]`."""
    return patients.evaluate(lambda weights: quotient(weights @ values, weights.sum(1, keepdims=True) + 0 * values[:1]))


def box_scores(truth: Numbers, boxes: Numbers, peaks: Floats) -> Iterator[tuple[Row, Numbers]]:
    """Yield each measure and its value `[boxes] in [0, 1]` for every drawn box.

    Parameters
    ----------
    truth, boxes
        `[boxes, 4]` drawn boxes, and the attention box of each one's image.
    peaks
        `[boxes, 2]` peak of each one's image, (x, y) in [0, 1].
    """
    detected = {
        "attention": boxes[None],
        "random": random_boxes(boxes),
        "centre": centred_boxes(boxes)[None],
    }  # [draws, boxes, 4]
    for by, placed in detected.items():
        for measure, overlap in zip(("iou", "iobb"), overlaps(placed, truth), strict=True):
            for at in AT:
                yield {"measure": measure, "at": at, "by": by}, (overlap > at).mean(0)
    middle = np.full_like(peaks, 0.5)
    pointing = {"attention": inside(peaks, truth), "random": area(truth), "centre": inside(middle, truth)}
    for by, values in pointing.items():
        yield {"measure": "pointing", "at": None, "by": by}, values


def fixed_cells(truth: Numbers, owners: Sequence[str]) -> Numbers:
    """Return the centre `[boxes, 2]` of the cell that lies in most drawn boxes `[boxes, 4]` of other patients.

    The middle of the image if no other patient has a box.
    """
    centres = (np.arange(CELLS) + 0.5) / CELLS
    cells = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
    covered = inside(cells[:, None], truth[None])  # [cells, boxes]
    patients = np.unique(owners, return_inverse=True)[1]
    others = patients[:, None] != patients[None, :]  # [boxes, boxes]
    counts = covered @ others  # [cells, boxes]
    chosen: Numbers = cells[counts.argmax(0)]
    return np.where(counts.any(0)[:, None], chosen, 0.5)


def overlaps(detected: Numbers, truth: Numbers) -> tuple[Numbers, Numbers]:
    """Return IoU and IoBB `[...]` of boxes `[..., 4]` with boxes `[..., 4]`; 0 for an empty box."""
    low, high = np.maximum(detected[..., :2], truth[..., :2]), np.minimum(detected[..., 2:], truth[..., 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    whole = area(detected) + area(truth) - both
    iou, iobb = (np.nan_to_num(quotient(both, below + 0 * both)) for below in (whole, area(detected)))
    return np.asarray(iou), np.asarray(iobb)


def area(boxes: Numbers) -> Numbers:
    """Return the area `[...]` of boxes `[..., 4]` in [0, 1]: the probability that a random point lies inside."""
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return sides[..., 0] * sides[..., 1]


def inside(points: Numbers, boxes: Numbers) -> Numbers:
    """Return 1 where the point (x, y) `[..., 2]` lies in the box `[..., 4]`, whose end is exclusive, else 0."""
    within = (points >= boxes[..., :2]) & (points < boxes[..., 2:])
    return (within[..., 0] & within[..., 1]).astype(np.float64)


def centred_boxes(boxes: Numbers) -> Numbers:
    """Move boxes `[N, 4]` to the middle of the image."""
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    return np.concatenate([0.5 - half, 0.5 + half], 1)


def random_boxes(boxes: Numbers, seed: int = 0) -> Numbers:
    """Place boxes of the sizes of `boxes` `[N, 4]` anywhere within the image, a hundred times: `[100, N, 4]`."""
    size = boxes[:, 2:] - boxes[:, :2]
    corner = np.random.default_rng(seed).random((DRAWS, len(boxes), 2)) * (1 - size)
    return np.concatenate([corner, corner + size], 2)

"""Scores of the fusion branch within groups of patients and images, to show where it performs worse."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.sample import Case
from training.evaluation.metrics import CURVE_SCORES
from training.evaluation.scores import Part, Reading, Row, resample, score_rows

UNKNOWN = "unknown"
AGES = {"0-17": 18, "18-39": 40, "40-59": 60, "60-79": 80, "80+": float("inf")}  # age band to its exclusive end
SCORES = {name: CURVE_SCORES[name] for name in ("auroc", "prevalence")}


def band(case: Case) -> str:
    """Return the age band of a patient."""
    return UNKNOWN if case.age is None else next(name for name, end in AGES.items() if case.age < end)


BY: Mapping[
    str, tuple[Callable[[Case], str], Sequence[str]]
] = {  # factor to the group of a case, and the order of groups
    "sex": (lambda case: case.sex, ("F", "M")),
    "age": (band, tuple(AGES)),
    "view": (lambda case: case.view, ("PA", "AP")),
    "collection": (lambda case: case.collection, ()),
}


def groups(cases: Sequence[Case]) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Yield factor, group and indices `[n]` of every non-empty group; a factor unknown for all images is left out."""
    for by, (group_of, order) in BY.items():
        names = np.array([group_of(case) or UNKNOWN for case in cases])
        others = sorted(set(names.tolist()) - {*order, UNKNOWN})
        present = [name for name in (*order, *others, UNKNOWN) if name in names]
        if present != [UNKNOWN]:
            for name in present:
                yield by, name, np.flatnonzero(names == name)


def subgroups(part: Part) -> list[Row]:
    """Return AUROC and prevalence of the fusion branch in every group, with intervals; None where undefined."""
    fusion = next(reading for reading in part.readings if reading.name == "fusion")
    alone = Part(part.split, part.predictions, (Reading(fusion.name, fusion.scores),))
    found = [(by, group, alone.subset(part.split, indices)) for by, group, indices in groups(part.predictions.cases)]
    scored = resample([(within, within.readings[0]) for _, _, within in found], SCORES)
    return [
        {**row, "by": by, "group": group}
        for (by, group, within), samples in zip(found, scored, strict=True)
        for row in score_rows(within, within.readings[0], samples)
    ]

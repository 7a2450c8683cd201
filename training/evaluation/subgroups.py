"""The fusion branch within groups of patients and images, to see whom it serves less well."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.sample import Case
from training.evaluation.metrics import OF_CURVE
from training.evaluation.scores import Part, Reading, Row, drawn, rows

UNKNOWN = "unknown"
AGES = {"0-17": 18, "18-39": 40, "40-59": 60, "60-79": 80, "80+": float("inf")}  # band to the age it ends before
SCORES = {name: OF_CURVE[name] for name in ("auroc", "prevalence")}


def band(case: Case) -> str:
    """Which age band a patient is in."""
    return UNKNOWN if case.age is None else next(name for name, end in AGES.items() if case.age < end)


BY: Mapping[str, tuple[Callable[[Case], str], Sequence[str]]] = {  # how a case is grouped, and the groups' order
    "sex": (lambda case: case.sex, ("F", "M")),
    "age": (band, tuple(AGES)),
    "view": (lambda case: case.view, ("PA", "AP")),
    "collection": (lambda case: case.collection, ()),
}


def groups(cases: Sequence[Case]) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """(by, group, indices) of every group there is; what is known of no image at all groups none."""
    for by, (of, order) in BY.items():
        names = np.array([of(case) or UNKNOWN for case in cases])
        others = sorted(set(names.tolist()) - {*order, UNKNOWN})
        present = [name for name in (*order, *others, UNKNOWN) if name in names]
        if present != [UNKNOWN]:
            for name in present:
                yield by, name, np.flatnonzero(names == name)


def subgroups(part: Part) -> list[Row]:
    """AUROC and prevalence of the fusion branch in every group, with intervals; null where undefined."""
    fusion = next(reading for reading in part.readings if reading.name == "fusion")
    alone = Part(part.split, part.predictions, (Reading(fusion.name, fusion.scores),))
    found = []
    for by, group, indices in groups(part.predictions.cases):
        within = alone.subset(part.split, indices)
        reading = within.readings[0]
        found += [{**row, "by": by, "group": group} for row in rows(within, reading, drawn(within, reading, SCORES))]
    return found

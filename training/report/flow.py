"""The patient flow of a run: from the tables of its folders of data to the images that were trained on and scored."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.data.listing import Listing
from training.data.sample import Case

Row = dict[str, Any]


def folder(listed: Listing, used: Sequence[str]) -> Row:
    """Return source, exclusions and splits of one folder of data, each with its number of images and patients.

    `used` names the splits that the study used; those of another folder may have the same names.
    """
    return {
        "name": listed.name,
        "used": list(used),
        "source": size(listed.cases),
        "excluded": [{"reason": reason, **size(cases)} for reason, cases in listed.excluded.items()],
        "splits": [{"split": split, **size(cases)} for split, cases in listed.splits.items() if cases],
    }


def trained(plan: Mapping[str, Any], entry: Mapping[str, Any], listed: Sequence[Listing]) -> Row:
    """Return the step of the images that a run was trained on.

    Parameters
    ----------
    plan
        Content of `plan.json`.
    entry
        The run's own entry in the `training_data` of `run.json`.
    listed
        The folders of the plan; none if one is gone.
    """
    splits = "train+val" if plan["fold"] else plan["split"]
    numbers = {name: int(entry[name]) for name in ("images", "patients")}
    whole = size_of(listed, splits) if listed else numbers
    reasons = [f"patients of {Path(plan['without']).name}"] if plan.get("without") else []
    reasons += ["held out"] if plan["fold"] else []
    return step("trained on", splits, numbers, whole, " or ".join(reasons))


def step(what: str, splits: str, left: Mapping[str, int], whole: Mapping[str, int], reason: str) -> Row:
    """Return what was done with the images of some splits.

    Parameters
    ----------
    what
        Such as `trained on`.
    splits
        Such as `train+val`.
    left, whole
        Images and patients that were used, and that there were.
    reason
        Why the others were left out.
    """
    rest = {name: whole[name] - left[name] for name in left}
    return {
        "use": what,
        "splits": splits.split("+"),
        **left,
        "excluded": [{"reason": reason, **rest}] if rest["images"] else [],
    }


def size(cases: Iterable[Case]) -> dict[str, int]:
    """Count images and patients."""
    patients = [case.patient for case in cases]
    return {"images": len(patients), "patients": len(set(patients))}


def size_of(listed: Iterable[Listing], splits: str) -> dict[str, int]:
    """Count the images and patients of some splits, such as `train+val`, of folders that share no patient."""
    sizes = [size(case for split in splits.split("+") for case in each.splits[split]) for each in listed]
    return {name: sum(row[name] for row in sizes) for name in ("images", "patients")}

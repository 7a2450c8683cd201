"""The model card of an evaluated network, in the sections of Mitchell et al., Model Cards for Model Reporting (2019).

The words are of this project; every number comes from the run's documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from training.evaluation.metrics import CONFIDENCE
from training.fit.checkpoint import plain

MACHINE = ("devices", "num_nodes", "threads", "workers")  # how a run was computed, not what it is
UNITARY = ("auroc", "auprc", "prevalence", "sensitivity_at_specificity_0.95", "brier", "ece_uncalibrated", "ece")
GROUPED = ("auroc", "prevalence")
DECIMALS = 4

DESCRIPTION = (
    "An attention-guided convolutional network for frontal chest radiographs. A global branch reads the whole image "
    "and gives a heat map; a local branch reads the region where that map is high, cut from what `crop_from` names; a "
    "fusion layer reads both. Each gives one calibrated probability per finding."
)
REFERENCES = (
    "Guan et al., Diagnose like a Radiologist: Attention Guided Convolutional Neural Network for Thorax Disease "
    "Classification, 2018 (arXiv:1801.09927)",
    "Wang et al., ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks, CVPR 2017",
    "Mitchell et al., Model Cards for Model Reporting, 2019 (arXiv:1810.03993)",
)
INTENDED_USE = {
    "primary_uses": (
        "Research on ordering a worklist of chest radiographs, and on how such software is built, tested and served.",
        "Teaching, and a starting point for training on other images.",
    ),
    "primary_users": ("Researchers and engineers who can judge the figures below.",),
    "out_of_scope": (
        "Any use in the care of patients: diagnosis, triage, or ruling a finding out. It is not a medical device.",
        "Lateral views, other body parts, computed tomography, photographs of films, and children where no child is in "
        "the training data.",
        "Reading the heat map or the box as the outline of a finding.",
        "Findings other than the labels; a low score on all of them does not make a radiograph normal.",
    ),
}
FACTORS = {
    "relevant": (
        "Sex, age, view (PA standing, AP often lying and sicker), the scanner and its processing, the hospital, and "
        "what is in the image beside the lungs: drains, tubes, pacemakers, letters.",
        "How common each finding is: probabilities are calibrated to the images that they were fitted on.",
        "In the subset of two collections: which collection an image is from, as a network can score by telling them "
        "apart.",
    ),
    "evaluated": (
        "Sex, age band, view and collection, one at a time, where the data tell them. Not scanner, hospital, "
        "ethnicity, devices in the image: the data do not tell them.",
    ),
}
MEASURES = {
    "performance": (
        "AUROC: how well a finding's images are ranked above the others. The macro average is the mean over the "
        "findings for which it is defined.",
        "AUPRC, to be read beside the prevalence, which is what chance would reach.",
        "Brier score and expected calibration error, before and after calibration.",
    ),
    "thresholds": (
        "Chosen at a fixed specificity on out-of-fold predictions of the training lists, frozen, and applied to the "
        "test list once. A finding with too few positives has none.",
    ),
    "variation": (
        f"Intervals are {CONFIDENCE:.0%}, by resampling patients with all their images; differences between branches "
        "are paired. They do not cover another training seed, wrong labels or another hospital.",
    ),
}
MOTIVATION = (
    "Patient-disjoint lists of the same source as the training data. The figure that counts is the one within a "
    "collection, where the data have several.",
    "Out-of-fold: each image was judged by a network that had not seen its patient. The test list chose nothing.",
)
PREPROCESSING = ("The path that the service uses: display values, one inversion at most, resized to a square canvas.",)
TRAINING = (
    "ChestX-ray14 is of one site, the NIH Clinical Center. Its labels were mined from reports by "
    "software, without the images being read again.",
    "Phantoms, where they are listed, are drawn by a program; their findings look like no patient's.",
)
INTERSECTIONAL = (
    "None was computed: groups by two factors at once hold too few positives for a figure that means anything.",
)
ETHICS = (
    "ChestX-ray14 is public and de-identified by its publisher. No attempt to identify anybody was made or may be.",
    "A worklist ordered by a network lets those wait longer whom it overlooks. The groups in the analyses show where "
    "it is known to rank worse; the groups that nobody recorded are not there.",
    "Ordering by score can hide a wrong label's effect: the network learns what reports mention, not what is there.",
)
CAVEATS = (
    "Labels mined from reports are partly wrong; agreement with them is not accuracy against the truth.",
    "In ChestX-ray14 many radiographs with a pneumothorax show the drain that treats it: the network may find the "
    "drain, and miss the untreated patient who needs it most.",
    "One site and one period: expect less elsewhere, and measure it on your own images before drawing any conclusion.",
    "Subsets here are small, and in part enriched: rare findings rest on a handful of images, and the probabilities "
    "belong to the prevalence of the images they were calibrated on. Calibrate anew for other images.",
    "Whether the second look helps is a hypothesis here: read the paired differences, with their intervals.",
    "For research only. Do not show the output to anyone who decides about a patient.",
)

Row = Mapping[str, Any]


def model_card(document: Row, found: Row) -> dict[str, Any]:
    """Put words and numbers together, as plain JSON.

    Parameters
    ----------
    document
        `run.json`'s content: network, config, training data, commit.
    found
        `metrics.json`'s content.
    """
    card = {
        "model_details": {
            "name": f"agcnn-{document['network']['backbone']}",
            "description": DESCRIPTION,
            "commit": document["commit"],
            "network": document["network"],
            "training": {name: value for name, value in document["config"].items() if name not in MACHINE},
            "references": REFERENCES,
            "licence": "Apache-2.0",
        },
        "intended_use": INTENDED_USE,
        "factors": FACTORS,
        "metrics": MEASURES,
        "evaluation_data": {
            "datasets": [{"split": split, **counts} for split, counts in found["data"].items()],
            "motivation": MOTIVATION,
            "preprocessing": PREPROCESSING,
        },
        "training_data": {"datasets": document["training_data"], "description": TRAINING},
        "quantitative_analyses": {
            "unitary": {
                "labels": by_label(found["metrics"]),
                "differences": differences(found["differences"]),
                "groups": by_group(found["subgroups"]),
            },
            "intersectional": INTERSECTIONAL,
        },
        "ethical_considerations": ETHICS,
        "caveats_and_recommendations": CAVEATS,
    }
    return dict(plain(card))


def by_label(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Every finding's measures of the fusion branch, and the macro average's of all branches."""
    kept = [row for row in rows if row["name"] in UNITARY and (row["branch"] == "fusion" or row["label"] == "macro")]
    return gathered(kept, ("split", "branch", "label"), "positives")


def by_group(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The macro average's measures in every group."""
    kept = [row for row in rows if row["name"] in GROUPED and row["label"] == "macro"]
    return gathered(kept, ("split", "by", "group"), "images")


def gathered(rows: Iterable[Row], about: tuple[str, ...], count: str) -> list[dict[str, Any]]:
    """One entry for all rows that are about the same, with each one's measure and the first one's count."""
    entries: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        named = {name: row[name] for name in (*about, count)}
        entry = entries.setdefault(tuple(row[name] for name in about), {**named, "measures": {}})
        entry["measures"][row["name"]] = estimate(row)
    return list(entries.values())


def differences(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Of the macro AUROC."""
    return [
        {"split": row["split"], "branch": row["branch"], "against": row["against"], "estimate": estimate(row)}
        for row in rows
        if (row["name"], row["label"]) == ("auroc", "macro")
    ]


def estimate(row: Row) -> dict[str, Any]:
    """A value and its interval, rounded; of a mean, the labels that it is over."""
    value, interval = row["value"], row["interval"]
    return {
        "value": None if value is None else round(value, DECIMALS),
        "interval": interval and [round(edge, DECIMALS) for edge in interval],
        **({"labels": row["labels"]} if "labels" in row else {}),
    }

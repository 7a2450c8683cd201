"""The model card of an evaluated network, in the sections of Mitchell et al., Model Cards for Model Reporting (2019).

The text is fixed here; every number comes from the run's documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from training.evaluation.metrics import CONFIDENCE
from training.fit.checkpoint import plain

MACHINE = ("devices", "num_nodes", "threads", "workers")  # settings of the machine, not of the network
UNITARY = (
    "auroc",
    "auprc",
    "prevalence",
    "sensitivity_at_specificity_0.95",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "calibration_error",
    "ece_uncalibrated",
    "ece",
)
GROUPED = ("auroc", "prevalence")
DECIMALS = 4

DESCRIPTION = (
    "An attention-guided convolutional network for frontal chest radiographs. A global branch reads the whole image "
    "and gives a heat map; a local branch reads the region where that map is high, cropped from the canvas or from the "
    "global branch's input (`crop_from`); a fusion layer combines both. Each gives one calibrated probability per "
    "finding."
)
SINGLE_DESCRIPTION = (
    "A convolutional network for frontal chest radiographs: the global branch of an attention-guided network, without "
    "its second look. It reads the whole image and gives a heat map, the region where that map is high, and one "
    "calibrated probability per finding."
)
REFERENCES = (
    "Guan et al., Diagnose like a Radiologist: Attention Guided Convolutional Neural Network for Thorax Disease "
    "Classification, 2018 (arXiv:1801.09927)",
    "Wang et al., ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks, CVPR 2017",
    "Mitchell et al., Model Cards for Model Reporting, 2019 (arXiv:1810.03993)",
)
INTENDED_USE = {
    "primary_uses": (
        "Research on ordering a worklist of chest radiographs, and on building, testing and serving such software.",
        "Teaching, and a starting point for training on other images.",
    ),
    "primary_users": ("Researchers and engineers who can judge the figures below.",),
    "out_of_scope": (
        "Any use in patient care: diagnosis, triage, or ruling out a finding. It is not a medical device.",
        "Lateral views, other body parts, computed tomography, photographs of films, and children where no child is in "
        "the training data.",
        "Interpreting the heat map or the box as the outline of a finding.",
        "Findings other than the labels; a low score on all of them does not mean that a radiograph is normal.",
    ),
}
FACTORS = {
    "relevant": (
        "Sex, age, view (PA standing; AP often supine and more severely ill), the scanner and its processing, the "
        "hospital, and other objects in the image: drains, tubes, pacemakers, letters.",
        "Prevalence of each finding: probabilities are calibrated on images of a certain prevalence.",
        "In the subset of two collections: the collection of an image, since a network can raise its score by "
        "recognising the collection.",
    ),
    "evaluated": (
        "Sex, age band, view and collection, one at a time, where the data include them. Scanner, hospital, "
        "ethnicity and devices in the image were not evaluated, as the data do not include them.",
    ),
}
MEASURES = {
    "performance": (
        "AUROC: the probability that an image with the finding is ranked above one without it. The macro average is "
        "the mean over the findings with at least ten positives and ten negatives. Out of fold, images are ranked "
        "within each fold, and the folds averaged, as logits of different networks cannot be compared.",
        "AUPRC, to be compared with the prevalence, which is its value for a random ranking.",
        "Brier score; calibration slope, 1 at best, and intercept, 0 at best; calibration error, the root of the mean "
        "squared distance of probability and frequency in bins, without the part that chance adds; and the customary "
        "expected calibration error (ece), which is too high by chance.",
    ),
    "thresholds": (
        "Chosen at a fixed specificity on images that were not trained on, which each operating point names as its "
        "source, then fixed and applied to the test list once. A finding with too few positives has none, nor has one "
        "whose sensitivity is not shown to be better than chance.",
    ),
    "variation": (
        f"Intervals are {CONFIDENCE:.0%}, by resampling patients with all their images; differences between branches "
        "are paired. They do not include the variation from training seeds, wrong labels or other hospitals.",
    ),
}
MOTIVATION = (
    "Patient-disjoint lists of the same source as the training data. Where the data have several collections, the "
    "score within a collection is the relevant one.",
    "Out-of-fold: each image was scored by a network that was not trained on its patient. Nothing was chosen on the "
    "test list.",
)
PREPROCESSING = ("The same as in the service: display values, at most one inversion, resized to a square canvas.",)
TRAINING = (
    "ChestX-ray14 comes from one site, the NIH Clinical Center. Its labels were extracted from reports by "
    "software; the images were not read again.",
    "Phantoms, where listed, are synthetic; their findings do not look like those of patients.",
)
INTERSECTIONAL = ("None was computed: groups by two factors at once contain too few positives for a meaningful score.",)
ETHICS = (
    "ChestX-ray14 is public and de-identified by its publisher. Nobody may try to identify a patient.",
    "In a worklist ordered by a network, patients whose findings it misses wait longer. The analyses show the groups "
    "in which it is known to rank worse; groups that were not recorded cannot be shown.",
    "Ordering by score can hide the effect of wrong labels: the network learns what reports mention, which may differ "
    "from what the image shows.",
)
LOCAL_CAVEAT = "It is not established that the local branch helps: see the paired differences, with their intervals."
CAVEATS = (
    "Labels extracted from reports are partly wrong; agreement with them is not diagnostic accuracy.",
    "In ChestX-ray14 many radiographs with a pneumothorax show the drain that treats it: the network may detect the "
    "drain, and miss the pneumothorax of an untreated patient.",
    "One site and one period: expect lower scores elsewhere, and evaluate on your own images before drawing "
    "conclusions.",
    "The subsets are small and partly enriched: scores of rare findings are based on very few images, and the "
    "probabilities are valid for the prevalence of the calibration images. Recalibrate for other images.",
    LOCAL_CAVEAT,
    "For research only. Do not show the output to anyone who decides about a patient.",
)

ADOPTED_DESCRIPTION = (
    "Both branches have the weights of a published network, which was not trained here; the fusion layer gives the "
    "global branch's decision."
)
ADOPTED_TRAINING = (
    "The weights were published by others. The entry above is what the person who adopted them stated; nothing of it "
    "was checked, and it is not known whether images of the evaluation were among the training images.",
)
ADOPTED_LICENCE = "that of the published weights; ask their publisher"

Row = Mapping[str, Any]


def model_card(document: Row, metrics: Row) -> dict[str, Any]:
    """Combine text and numbers to a model card, as plain JSON.

    Parameters
    ----------
    document
        Content of `run.json`: network, config, training data, commit.
    metrics
        Content of `metrics.json`.
    """
    adopted, second_look = document.get("adopted"), document["network"].get("second_look", True)
    description = DESCRIPTION if second_look else SINGLE_DESCRIPTION
    card = {
        "model_details": {
            "name": f"agcnn-{document['network']['backbone']}",
            "description": f"{description} {ADOPTED_DESCRIPTION}" if adopted else description,
            "commit": document["commit"],
            "network": document["network"],
            "training": {name: value for name, value in document["config"].items() if name not in MACHINE}
            | ({"adopted": adopted} if adopted else {}),
            "references": REFERENCES,
            "licence": ADOPTED_LICENCE if adopted else "Apache-2.0",
        },
        "intended_use": INTENDED_USE,
        "factors": FACTORS,
        "metrics": MEASURES,
        "evaluation_data": {
            "datasets": [{"split": split, **counts} for split, counts in metrics["data"].items()],
            "motivation": MOTIVATION,
            "preprocessing": PREPROCESSING,
        },
        "training_data": {
            "datasets": document["training_data"],
            "description": ADOPTED_TRAINING if adopted else TRAINING,
        },
        "quantitative_analyses": {
            "unitary": {
                "labels": by_label(metrics["metrics"]),
                "differences": differences(metrics["differences"]),
                "groups": by_group(metrics["subgroups"]),
            },
            "intersectional": INTERSECTIONAL,
        },
        "ethical_considerations": ETHICS,
        "caveats_and_recommendations": [caveat for caveat in CAVEATS if second_look or caveat != LOCAL_CAVEAT],
    }
    return dict(plain(card))


def by_label(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the measures of every finding for the fusion branch, and of the macro average for all branches."""
    kept = [row for row in rows if row["name"] in UNITARY and (row["branch"] == "fusion" or row["label"] == "macro")]
    return group_rows(kept, ("split", "branch", "label"), "positives")


def by_group(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the measures of the macro average in every group."""
    kept = [row for row in rows if row["name"] in GROUPED and row["label"] == "macro"]
    return group_rows(kept, ("split", "by", "group"), "images")


def group_rows(rows: Iterable[Row], about: tuple[str, ...], count: str) -> list[dict[str, Any]]:
    """Merge rows with equal `about` fields into one entry with all their measures; `count` is taken from the first."""
    entries: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        named = {name: row[name] for name in (*about, count)}
        entry = entries.setdefault(tuple(row[name] for name in about), {**named, "measures": {}})
        entry["measures"][row["name"]] = estimate(row)
    return list(entries.values())


def differences(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the differences in macro AUROC."""
    return [
        {"split": row["split"], "branch": row["branch"], "against": row["against"], "estimate": estimate(row)}
        for row in rows
        if (row["name"], row["label"]) == ("auroc", "macro")
    ]


def estimate(row: Row) -> dict[str, Any]:
    """Round a value and its interval; the entry of a mean names its labels."""
    value, interval = row["value"], row["interval"]
    return {
        "value": None if value is None else round(value, DECIMALS),
        "interval": interval and [round(edge, DECIMALS) for edge in interval],
        **({"labels": row["labels"]} if "labels" in row else {}),
    }

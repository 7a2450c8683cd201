import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from model.labels import LABELS
from service.artefact.model_card import ModelCard
from tests.training.report import documents
from training.report import model_card as module
from training.report.model_card import model_card

SECTIONS = [  # Mitchell et al. 2019, figure 1
    "model_details",
    "intended_use",
    "factors",
    "metrics",
    "evaluation_data",
    "training_data",
    "quantitative_analyses",
    "ethical_considerations",
    "caveats_and_recommendations",
]


@pytest.fixture
def card() -> dict[str, Any]:
    return model_card(documents.document(), documents.metrics_document())


def test_fits_the_schema_of_the_service_and_round_trips(card: dict[str, Any]) -> None:
    read = ModelCard.model_validate_json(json.dumps(card, allow_nan=False))
    assert read.model_dump(mode="json") == card
    assert list(card) == SECTIONS


def test_an_invalid_card_is_refused(card: dict[str, Any]) -> None:
    for broken in (
        {**card, "another": 1},
        {**card, "caveats_and_recommendations": []},
        {name: card[name] for name in SECTIONS[1:]},
    ):
        with pytest.raises(ValidationError):
            ModelCard.model_validate_json(json.dumps(broken))


def test_the_details_are_those_of_the_run_without_machine_settings(card: dict[str, Any]) -> None:
    details = card["model_details"]
    assert details["name"] == "agcnn-squeezenet1_1"
    assert details["commit"] == "0" * 40
    assert details["network"] == documents.document()["network"]
    assert details["training"] == {"seed": 7, "epochs": [2, 2, 2]}
    assert card["training_data"]["datasets"] == documents.document()["training_data"]
    assert card["evaluation_data"]["datasets"][1] == {"split": "test, collection B", "images": 20, "patients": 30}


def test_the_card_of_an_adopted_network_claims_neither_its_training_nor_its_licence(card: dict[str, Any]) -> None:
    entry = {"name": "somebody's weights", "images": None, "patients": None, "role": "published weights"}
    adopted = {"form": "chexnet", "sha256": "0" * 64}
    document = documents.document() | {"config": {}, "adopted": adopted, "training_data": [entry]}
    other = model_card(document, documents.metrics_document())
    assert ModelCard.model_validate_json(json.dumps(other)).training_data.datasets[0].images is None
    assert other["model_details"]["training"] == {"adopted": adopted}
    for section, entry_name in (("model_details", "licence"), ("training_data", "description")):
        assert other[section][entry_name] != card[section][entry_name]


def test_every_finding_has_its_scores(card: dict[str, Any]) -> None:
    results = card["quantitative_analyses"]["unitary"]["labels"]
    assert len(results) == 2 * (len(LABELS) + 3)  # splits; the macro average of three branches
    mass = next(result for result in results if result["label"] == "Mass")
    assert (mass["split"], mass["branch"], mass["positives"]) == ("test", "fusion", 5)
    assert mass["measures"]["auroc"] == {"value": 0.54, "interval": [0.44, 0.64]}
    hernia = next(result for result in results if result["label"] == "Hernia")
    assert hernia["measures"]["auprc"] == {"value": None, "interval": None}
    macro = next(result for result in results if result["label"] == "macro")
    assert macro["measures"]["ece"] == {"value": 0.6543, "interval": [0.5543, 0.7543], "labels": list(LABELS[:-1])}


def test_a_macro_average_over_fewer_labels_is_not_a_separate_entry() -> None:
    metrics = documents.metrics_document()
    rows = [{**row, "positives": 1} if row["name"] == "brier" else row for row in metrics["metrics"]]
    results = model_card(documents.document(), {**metrics, "metrics": rows})["quantitative_analyses"]["unitary"][
        "labels"
    ]
    assert len({(row["split"], row["branch"], row["label"]) for row in results}) == len(results)
    assert results[0]["positives"] == 5


def test_groups_and_differences(card: dict[str, Any]) -> None:
    unitary = card["quantitative_analyses"]["unitary"]
    (group,) = unitary["groups"]
    assert (group["by"], group["group"], group["images"]) == ("sex", "F", 40)
    assert group["measures"]["auroc"] == {"value": 0.71, "interval": [0.61, 0.81], "labels": ["Mass"]}
    assert unitary["differences"][0] == {
        "split": "test",
        "branch": "fusion",
        "against": "global",
        "estimate": {"value": -0.012, "interval": [-0.03, 0.01]},
    }


def test_no_result_is_typed_by_hand() -> None:
    """The text contains no decimal number except arXiv identifiers."""
    words = json.dumps([value for name, value in vars(module).items() if name.isupper() and name != "CONFIDENCE"])
    names = "|".join(sorted(module.UNITARY, key=len, reverse=True))
    assert not re.findall(r"\d\.\d+", re.sub(rf"{names}|arXiv:[\d.]+", "", words))


def test_the_warnings_are_included(card: dict[str, Any]) -> None:
    scope = " ".join(card["intended_use"]["out_of_scope"])
    caveats = " ".join(card["caveats_and_recommendations"])
    assert "not a medical device" in scope
    for word in ("extracted from reports", "drain", "One site", "research only"):
        assert word in caveats

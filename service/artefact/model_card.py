"""The model card: what a reader should know about a network before relying on it (Mitchell et al. 2019)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """Base of every part of an artefact's card: immutable, without unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, serialize_by_alias=True, protected_namespaces=()
    )


class TrainingSet(Part):
    """One source of images and what it was used for; the counts are None if a publisher does not state them."""

    name: Text
    images: Count | None
    patients: Count | None
    role: Text


class ModelDetails(Part):
    """Identity, architecture and training of the network."""

    name: Text
    description: Text
    commit: Text
    network: dict[str, JsonValue]
    training: dict[str, JsonValue]
    references: Texts
    licence: Text


class IntendedUse(Part):
    """Intended uses and users, and uses that are out of scope."""

    primary_uses: Texts
    primary_users: Texts
    out_of_scope: Texts


class Factors(Part):
    """Factors that may change the performance, and those that were evaluated."""

    relevant: Texts
    evaluated: Texts


class Measures(Part):
    """Performance measures, choice of thresholds, and treatment of uncertainty."""

    performance: Texts
    thresholds: Texts
    variation: Texts


class EvaluationSet(Part):
    """One set of images that the network was evaluated on."""

    split: Text
    images: Count
    patients: Count


class EvaluationData(Part):
    """The images that the network was evaluated on, and why these."""

    datasets: tuple[EvaluationSet, ...]
    motivation: Texts
    preprocessing: Texts


class TrainingData(Part):
    """The images that the network was trained on."""

    datasets: tuple[TrainingSet, ...]
    description: Texts


class Estimate(Part):
    """A score with its 95 % interval, null where undefined; for a mean, `labels` names the findings averaged."""

    value: float | None
    interval: tuple[float, float] | None
    labels: tuple[Text, ...] | None = Field(None, exclude_if=lambda labels: labels is None)


class LabelResult(Part):
    """All measures of one finding, or of the macro average, for one branch on one split."""

    split: Text
    branch: Text
    label: Text
    positives: Count | None
    measures: dict[Text, Estimate]


class GroupResult(Part):
    """Measures of the macro average within one group of patients or images."""

    split: Text
    by: Text
    group: Text
    images: Count
    measures: dict[Text, Estimate]


class Difference(Part):
    """Difference of two branches' macro AUROC, paired on the same resamples of the patients."""

    split: Text
    branch: Text
    against: Text
    estimate: Estimate


class Unitary(Part):
    """Results for one factor at a time."""

    labels: tuple[LabelResult, ...]
    differences: tuple[Difference, ...]
    groups: tuple[GroupResult, ...]


class QuantitativeAnalyses(Part):
    """Results for single factors and for combinations of factors."""

    unitary: Unitary
    intersectional: Texts


class ModelCard(Part):
    """The sections of Mitchell et al., Model Cards for Model Reporting (2019)."""

    model_details: ModelDetails
    intended_use: IntendedUse
    factors: Factors
    metrics: Measures
    evaluation_data: EvaluationData
    training_data: TrainingData
    quantitative_analyses: QuantitativeAnalyses
    ethical_considerations: Texts
    caveats_and_recommendations: Texts

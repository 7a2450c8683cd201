"""The model card: what a reader must know of a network before trusting it (Mitchell et al. 2019)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A piece of an artefact's card: does not change, and has nothing that it should not have."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, serialize_by_alias=True, protected_namespaces=()
    )


class TrainingSet(Part):
    """One source of images and what it was used for."""

    name: Text
    images: Count
    patients: Count
    role: Text


class ModelDetails(Part):
    """What it is, and how it was made."""

    name: Text
    description: Text
    commit: Text
    network: dict[str, JsonValue]
    training: dict[str, JsonValue]
    references: Texts
    licence: Text


class IntendedUse(Part):
    """What it is for, for whom, and what it must not be used for."""

    primary_uses: Texts
    primary_users: Texts
    out_of_scope: Texts


class Factors(Part):
    """What may change how well it does, and which of that was looked at."""

    relevant: Texts
    evaluated: Texts


class Measures(Part):
    """What is measured, how thresholds are chosen, and how uncertainty is given."""

    performance: Texts
    thresholds: Texts
    variation: Texts


class EvaluationSet(Part):
    """Images that it was scored on."""

    split: Text
    images: Count
    patients: Count


class EvaluationData(Part):
    """What it was scored on, and why."""

    datasets: tuple[EvaluationSet, ...]
    motivation: Texts
    preprocessing: Texts


class TrainingData(Part):
    """What its weights come from."""

    datasets: tuple[TrainingSet, ...]
    description: Texts


class Estimate(Part):
    """A figure with its 95 % interval, null where it is not defined; of a mean, the labels that it is over."""

    value: float | None
    interval: tuple[float, float] | None
    labels: tuple[Text, ...] | None = Field(None, exclude_if=lambda labels: labels is None)


class LabelResult(Part):
    """Every measure of one finding, or of the macro average, by one branch on one split."""

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
    """Macro AUROC of one branch less another's, of the same resamples of the patients."""

    split: Text
    branch: Text
    against: Text
    estimate: Estimate


class Unitary(Part):
    """Results by one factor at a time."""

    labels: tuple[LabelResult, ...]
    differences: tuple[Difference, ...]
    groups: tuple[GroupResult, ...]


class QuantitativeAnalyses(Part):
    """Results by one factor, and what is known of factors together."""

    unitary: Unitary
    intersectional: Texts


class ModelCard(Part):
    """For people: the sections of Mitchell et al., Model Cards for Model Reporting (2019)."""

    model_details: ModelDetails
    intended_use: IntendedUse
    factors: Factors
    metrics: Measures
    evaluation_data: EvaluationData
    training_data: TrainingData
    quantitative_analyses: QuantitativeAnalyses
    ethical_considerations: Texts
    caveats_and_recommendations: Texts

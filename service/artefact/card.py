"""The card of an artefact: identity, training data, performance and how to use it (metadata entry `agcnn`)."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from service.artefact.model_card import Count, ModelCard, Part, Text, TrainingSet
from service.artefact.quantisation import Quantisation

Share = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[Share, Share]
MeanAndDeviation = tuple[float, Annotated[float, Field(ge=0)]]
Schema = Literal["agcnn-triage/artefact/1"]
Notice = Literal["Research use only. Not a medical device."]

_LABEL_LENGTH = 64  # an LO has at most 64 characters (PS3.5 6.2), as has the worklist's filter
_LABEL = f"expected at most {_LABEL_LENGTH} printable characters, without backslash, bar and outer spaces"

SCHEMA: Schema = "agcnn-triage/artefact/1"
NOTICE: Notice = "Research use only. Not a medical device."


class OperatingPoint(Part):
    """A threshold on the calibrated fusion probability, fixed before the test; at or above it a finding is positive."""

    threshold: Share
    sensitivity: Share
    sensitivity_interval: Interval
    specificity: Share
    specificity_interval: Interval
    positives: Count
    negatives: Count
    source: Text


class Preprocessing(Part):
    """How display values become a canvas."""

    canvas_size: int = Field(ge=32, multiple_of=32)
    resize: Literal["stretch", "pad"]


class Network(Part):
    """The configuration of the network; for readers only, since the graph contains all of it."""

    backbone: Text
    input_size: int = Field(ge=1)
    tau: Share
    pooling: Literal["max", "average"]
    statistic: Literal["max", "l1", "l2"] = "max"
    crop_from: Literal["canvas", "input"] = "canvas"
    second_look: bool = Field(True, exclude_if=bool)
    mirror: bool = Field(False, exclude_if=lambda mirror: not mirror)
    pixel_mean: float | None = Field(None, exclude_if=lambda mean: mean is None)
    pixel_std: float | None = Field(None, gt=0, exclude_if=lambda deviation: deviation is None)


class Code(Part):
    """A coded concept of DICOM; the lengths are those of its attributes (PS3.5 6.2, SH and LO)."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: Annotated[str, Field(min_length=1, max_length=64)]


class LabelCodes(Part):
    """The codes of a label: the finding, and its site in the body."""

    finding: Code
    site: Code


class Metric(Part):
    """One score with its 95 % interval; null where it could not be computed."""

    name: Text
    split: Text
    images: Count
    branch: Literal["fusion", "global", "local"]
    label: Text
    value: float | None
    interval: tuple[float, float] | None
    positives: Count | None


class FalseAlarms(Part):
    """Share of the real radiographs of one source that are flagged as atypical."""

    source: Text
    images: Count
    value: Share
    interval: Interval


class Typicality(Part):
    """Distribution of the features (see `typicality.features`) of radiographs like those of the training data.

    Attributes
    ----------
    mean
        `[D]` mean of the features.
    factor
        Rows of the lower triangular matrix W, each up to the diagonal; WᵀW is the inverse of the features' covariance.
    quantile
        Share of the images of `source` within `threshold`, by which it was chosen.
    threshold
        Mahalanobis distance beyond which an image is atypical.
    """

    source: Text
    images: Count
    mean: tuple[float, ...]
    factor: tuple[tuple[float, ...], ...]
    quantile: Share
    threshold: float = Field(gt=0)
    false_alarms: tuple[FalseAlarms, ...]


class Statistics(Part):
    """Statistics of validation images, and typicality.

    Attributes
    ----------
    pixel_mean, probability
        Mean and standard deviation of the canvas and of each label's probability.
    class_map_quantile
        99th percentile of each label's class map over all cells; None in artefacts of older versions.
    """

    pixel_mean: MeanAndDeviation
    probability: dict[str, MeanAndDeviation]
    typicality: Typicality | None = Field(None, exclude_if=lambda typicality: typicality is None)
    class_map_quantile: dict[str, float] | None = Field(None, exclude_if=lambda quantile: quantile is None)


class Localisation(Part):
    """How often a map's peak lies in a box that a radiologist drew, on images kept apart from training.

    Attributes
    ----------
    peak, class_map, fixed_cell
        Share of the boxes that contain the peak of the heat map, that of their finding's class map, and the cell which
        lies in most boxes of other patients, with 95 % intervals.
    """

    source: Text
    images: Count
    boxes: int = Field(ge=1)
    peak: Share
    peak_interval: Interval
    class_map: Share | None = Field(None, exclude_if=lambda share: share is None)
    class_map_interval: Interval | None = Field(None, exclude_if=lambda interval: interval is None)
    fixed_cell: Share
    fixed_cell_interval: Interval


class Golden(Part):
    """The seed of an input (see `golden.golden_canvas`) and the outputs expected for it.

    Without a second look there is no `local`.
    """

    seed: Count
    fusion: tuple[Share, ...]
    global_: tuple[Share, ...] = Field(alias="global")
    local: tuple[Share, ...] | None = Field(None, exclude_if=lambda local: local is None)
    heat_map: tuple[tuple[Share, ...], ...] = Field(min_length=1)
    box: tuple[Share, Share, Share, Share]


class Card(Part):
    """The JSON document under the metadata entry `agcnn`.

    Attributes
    ----------
    codes
        Codes of labels; a label without an entry has those of the service's own table.
    untrained
        Labels that training never saw as present, or never saw at all: their outputs mean nothing.
    """

    schema_: Schema = Field(alias="schema")
    notice: Notice
    name: Text
    version: Text
    git_commit: str = Field(pattern="^([0-9a-f]{40}|unknown)$")
    created: AwareDatetime
    labels: tuple[Text, ...] = Field(min_length=1)
    operating_points: tuple[OperatingPoint | None, ...]
    preprocessing: Preprocessing
    network: Network
    training_data: tuple[TrainingSet, ...]
    metrics: tuple[Metric, ...]
    statistics: Statistics
    golden: Golden
    model_card: ModelCard | None = Field(None, exclude_if=lambda card: card is None)
    localisation: Localisation | None = Field(None, exclude_if=lambda localisation: localisation is None)
    codes: dict[str, LabelCodes] = Field({}, exclude_if=lambda codes: not codes)
    untrained: tuple[str, ...] = Field((), exclude_if=lambda labels: not labels)
    quantisation: Quantisation | None = Field(None, exclude_if=lambda quantisation: quantisation is None)

    @model_validator(mode="after")
    def _parts_fit_the_labels(self) -> Self:
        labels = set(self.labels)
        _require(len(labels) == len(self.labels), "labels: not unique")
        _require(all(map(_is_label, self.labels)), f"labels: {_LABEL}")
        _require(labels == set(self.statistics.probability), "statistics.probability: not one entry for each label")
        _require(all(metric.label in labels | {"macro"} for metric in self.metrics), "metrics: unknown label")
        _require(set(self.codes) <= labels, "codes: unknown label")
        _require(set(self.untrained) <= labels, "untrained: unknown label")
        quantiles = self.statistics.class_map_quantile
        _require(quantiles is None or set(quantiles) == labels, "statistics.class_map_quantile: not one for each label")
        golden = self.golden
        fits = (golden.local is not None) == self.network.second_look
        _require(fits, "golden.local: expected if and only if network.second_look is true")
        _require(len({len(row) for row in golden.heat_map}) == 1, "golden.heat_map: rows differ in length")
        _require(golden.box[0] < golden.box[2] and golden.box[1] < golden.box[3], "golden.box: empty")
        lists = {
            "operating_points": self.operating_points,
            "golden.fusion": golden.fusion,
            "golden.global": golden.global_,
            **({} if golden.local is None else {"golden.local": golden.local}),
        }
        for name, values in lists.items():
            _require(len(values) == len(labels), f"{name}: {len(values)} entries for {len(labels)} labels")
        self._typicality_fits()
        return self

    def _typicality_fits(self) -> None:
        typicality, findings, heat_map = self.statistics.typicality, len(self.labels), self.golden.heat_map
        if typicality is None:
            return
        size = findings + findings * (findings + 1) // 2 + len(heat_map) * len(heat_map[0])
        got = len(typicality.mean)
        _require(got == size, f"statistics.typicality.mean: expected {size} entries for labels and grid, got {got}")
        rows = [len(row) for row in typicality.factor]
        fits = rows == list(range(1, size + 1))
        _require(fits, f"statistics.typicality.factor: expected {size} rows of 1 to {size} entries")


def _is_label(text: str) -> bool:
    return len(text) <= _LABEL_LENGTH and text.isprintable() and text == text.strip() and not set(text) & set("\\|")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)

"""What a new prediction adds to the metrics, and its last stage to the trace."""

from collections.abc import Iterable

from service import metrics
from service.traces import stages
from service.triage.prediction import Prediction
from service.triage.rule import PRIORITIES


def start_at_zero(labels: Iterable[str]) -> None:
    """Show the priorities and the findings of an artefact before the first prediction has them."""
    for priority in PRIORITIES:
        metrics.PREDICTIONS.labels(priority)
    for label in labels:
        metrics.FINDINGS.labels(label)


def count(prediction: Prediction) -> None:
    """Count a new prediction, its positive findings and the time of its stages."""
    metrics.PREDICTIONS.labels(prediction.priority).inc()
    for label in prediction.positive:
        metrics.FINDINGS.labels(label).inc()
    for stage, milliseconds in vars(prediction.timings_ms).items():
        metrics.STAGE_SECONDS.labels(stage).observe(milliseconds / 1e3)
    stages({"store": prediction.timings_ms.store})

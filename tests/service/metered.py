"""The metrics as text, and the value of a series in it."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from service import metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def text(collectors: Iterable[Collector]) -> str:
    """Return what a server of these collectors answers, without the metrics of the process."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


def samples(exposed: str) -> Samples:
    """Return every sample of a text, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }


def counted(name: str, **labels: str) -> float:
    """Return the value of a counter or histogram of this process; 0 where it has no such series yet."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0

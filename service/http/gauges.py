"""What is looked up when the metrics are read: readiness, places, worklist, outbox, disk and database."""

import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service import metrics
from service.errors import Overloaded
from service.http.lookup import Lookup
from service.prediction import counted
from service.prediction.pipeline import Pipeline
from service.settings import Settings
from service.storage.backlog import Backlog, backlogs
from service.storage.filters import Filters
from service.storage.worklist import Counts, Worklist


@dataclass(frozen=True)
class _Stored:
    """What only the database knows."""

    counts: Counts
    backlogs: dict[str, Backlog]


class Gauges(Collector):
    """The gauges of a service. What the database or the disk does not answer in time is missing.

    Parameters
    ----------
    pipeline, worklist
        The parts of the service that are looked at.
    """

    def __init__(self, settings: Settings, pipeline: Pipeline, worklist: Worklist) -> None:
        self._settings, self._pipeline, self._worklist = settings, pipeline, worklist
        self._destinations = tuple(destination.name for destination in settings.sending.destinations)
        self._stored = Lookup(self._look_up)
        self._disk = Lookup(lambda: shutil.disk_usage(settings.storage.folder))
        self._instances = Lookup(pipeline.storage.has_instances)
        counted.start_at_zero(pipeline.predictor.artefact.card.labels)
        for name in self._destinations:
            for outcome in metrics.SENT:
                metrics.SENDS.labels(name, outcome)

    def collect(self) -> Iterator[Metric]:
        """Return the gauges as they are now; waits at most three times the time of a look-up."""
        yield from self._identity()
        yield from self._load()
        yield from self._storage()
        yield from _database(self._stored.value())

    def _identity(self) -> Iterator[Metric]:
        predictor, session = self._pipeline.predictor, self._pipeline.predictor.session
        card = predictor.artefact.card
        build = {"version": version("agcnn-triage"), "python": platform.python_version()}
        artefact = {"name": card.name, "version": card.version, "sha256": predictor.artefact.sha256}
        yield _info("triage_build_info", "Version of the service.", build)
        yield _info("triage_artefact_info", "The artefact in use, with its SHA-256.", artefact)
        provider = {} if session is None else {"provider": session.provider}
        yield _info("triage_provider_info", "The execution provider in use, once its self-test has passed.", provider)

    def _load(self) -> Iterator[Metric]:
        places = self._pipeline.places
        yield _gauge(
            "triage_ready",
            "1 once the self-test has passed; storage and database have gauges of their own.",
            float(self._is_ready()),
        )
        yield _gauge("triage_places", "Places for files that are decoded.", places.count)
        yield _gauge("triage_places_free", "Free places for files that are decoded.", places.free)
        arriving = self._pipeline.arrivals.size
        yield _gauge("triage_arriving_bytes", "Bytes of request bodies that arrive or wait to be decoded.", arriving)
        waiting = self._pipeline.predictor.waiting
        yield _gauge("triage_queued_images", "Images that wait for the network.", waiting)

    def _storage(self) -> Iterator[Metric]:
        usage = self._disk.value()
        up = usage is not None and self._instances.value() is not None
        text = "1 if the instances are there: their folder or, if there is one, the bucket answers."
        yield _gauge("triage_storage_up", text, float(up))
        least = self._settings.storage.min_free_bytes
        yield _gauge("triage_storage_min_free_bytes", "Free bytes below which files are refused.", least)
        values = usage or (None, None, None)
        for name, text, value in zip(("size", "used", "free"), ("Size", "Used part", "Free part"), values, strict=True):
            yield _gauge(f"triage_storage_{name}_bytes", f"{text} of the disk of the storage folder.", value)

    def _is_ready(self) -> bool:
        try:
            self._pipeline.check_ready()
        except Overloaded:
            return False
        return True

    def _look_up(self) -> _Stored:
        self._pipeline.database.check_answers()  # an open SQLite file can be read for as long as it is open
        counts = self._worklist.counts(Filters())
        return _Stored(counts, backlogs(self._pipeline.database, self._destinations))


def _database(stored: _Stored | None) -> Iterator[Metric]:
    text = "1 if the database answers within two seconds, and is there."
    yield _gauge("triage_database_up", text, float(stored is not None))
    unread = {} if stored is None else stored.counts.unread
    text = "Unread radiographs on the worklist, by priority; 10,000 stands for that many or more."
    yield _by("triage_unread", text, "priority", unread.items())
    age = None if stored is None else _seconds_since(stored.counts.oldest_stat)
    yield _gauge("triage_unread_stat_oldest_seconds", "Age of the oldest unread STAT result; 0 if none is unread.", age)
    waiting = {} if stored is None else stored.backlogs
    text = "Objects that wait to be sent, by destination; 10,000 stands for that many or more."
    yield _by("triage_outbox_waiting", text, "destination", ((name, each.waiting) for name, each in waiting.items()))
    text = "Age of the oldest object that could have been sent by now, by destination; 0 if there is none."
    ages = ((name, _seconds_since(each.oldest)) for name, each in waiting.items())
    yield _by("triage_outbox_oldest_seconds", text, "destination", ages)


def _seconds_since(time: datetime | None) -> float:
    return 0.0 if time is None else max(0.0, (datetime.now(UTC) - time).total_seconds())


def _gauge(name: str, text: str, value: float | None) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _by(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for each, value in values:
        family.add_metric((each,), value)
    return family


def _info(name: str, text: str, labels: Mapping[str, str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    if labels:
        family.add_metric(tuple(labels.values()), 1)
    return family

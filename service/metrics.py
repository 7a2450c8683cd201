"""What this process has counted since it started, for Prometheus; `service.http.gauges` has what is looked up.

Counting never blocks and never fails. The labels hold terms of the code, the artefact and the settings alone: nothing
that a client or a file chose.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()

STAGES = ("read", "decode", "prepare", "queue", "infer", "store")
REPLACED = ("timeout", "crashed", "killed", "cancelled", "start")
SENT = ("sent", "not_sent", "given_up")
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)  # up to the largest TRIAGE_RUNTIME__MAX_BATCH

REQUESTS = Counter(
    "triage_http_requests",
    "HTTP requests by route (other: none), method and status (none: the client left).",
    ("route", "method", "status"),
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "triage_http_request_seconds",
    "Seconds from the head of a request to the end of its answer, by route.",
    ("route",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
PROBLEMS = Counter(
    "triage_problems", "Answers that were a problem document, by its code.", ("code",), registry=REGISTRY
)
REFUSED_FILES = Counter(
    "triage_refused_files", "Files that were sent and not predicted; each attempt counts.", registry=REGISTRY
)
REFUSALS = Counter(
    "triage_refusals",
    "Reasons why files were not predicted; a file that is refused for several reasons counts under each.",
    ("reason",),
    registry=REGISTRY,
)
PREDICTIONS = Counter("triage_predictions", "New predictions, by priority.", ("priority",), registry=REGISTRY)
FINDINGS = Counter(
    "triage_findings", "Positive findings of new predictions, by label of the artefact.", ("label",), registry=REGISTRY
)
STAGE_SECONDS = Histogram(
    "triage_stage_seconds",
    "Seconds that each stage of a new prediction took.",
    ("stage",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
BATCH_IMAGES = Histogram("triage_batch_images", "Images in one run of the network.", buckets=_IMAGES, registry=REGISTRY)
DECODERS_REPLACED = Counter(
    "triage_decoders_replaced",
    "Decoder processes that ended and were replaced: timeout, crashed, killed (from outside, or before it was ready), "
    "cancelled (the client left), start (not ready in time).",
    ("reason",),
    registry=REGISTRY,
)
SENDS = Counter(
    "triage_sends",
    "Attempts to send an object, by destination and outcome; not_sent ones are tried again.",
    ("destination", "outcome"),
    registry=REGISTRY,
)

# A series that appears with its first event would hide this event from `increase` and `rate`.
for _stage in STAGES:
    STAGE_SECONDS.labels(_stage)
for _reason in REPLACED:
    DECODERS_REPLACED.labels(_reason)

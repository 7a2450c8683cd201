"""What the acceptor has counted since it started, for Prometheus; no label holds an AE title or an address."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

ASSOCIATIONS = Counter(
    "triage_dimse_associations",
    "Associations that were requested, by outcome: accepted or rejected.",
    ("outcome",),
    registry=REGISTRY,
)
OPEN = Gauge("triage_dimse_open_associations", "Associations that are open.", registry=REGISTRY)
STORES = Counter(
    "triage_dimse_stores",
    "C-STORE responses, by status: four hexadecimal digits, 0000 is success.",
    ("status",),
    registry=REGISTRY,
)
STORE_SECONDS = Histogram(
    "triage_dimse_store_seconds",
    "Seconds from a received data set to its C-STORE response.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
    registry=REGISTRY,
)

for _outcome in ("accepted", "rejected"):
    ASSOCIATIONS.labels(_outcome)
STORES.labels("0000")

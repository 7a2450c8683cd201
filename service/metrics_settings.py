"""Where Prometheus reads what happens inside: the settings `TRIAGE_METRICS__…`."""

from pydantic import Field

from service.destinations import Group


class Metrics(Group):
    """Addresses of the metrics, which need no key: they hold no value of a patient."""

    enabled: bool = Field(True, description="whether metrics are served, on a port of their own and without a key")
    host: str = Field("127.0.0.1", description="address that metrics are served on")
    port: int = Field(9464, ge=0, le=65535, description="port of the metrics of `triage serve`; 0 takes any free one")
    dimse_port: int = Field(
        9465, ge=0, le=65535, description="port of the metrics of `triage dimse`; 0 takes any free one"
    )

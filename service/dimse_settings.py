"""The C-STORE acceptor and the limits of its associations: the settings `TRIAGE_DIMSE__…`."""

from pathlib import Path

from pydantic import Field

from service.destinations import AeTitle, Group


class Dimse(Group):
    """The C-STORE acceptor, `triage dimse`."""

    host: str = Field("127.0.0.1", description="address that the acceptor, `triage dimse`, listens on")
    port: int = Field(11112, ge=0, le=65535, description="port that the acceptor listens on; 0 takes any free one")
    ae_title: AeTitle = Field("TRIAGE", description="AE title of the acceptor; callers must call it by this title")
    callers: tuple[AeTitle, ...] = Field((), description="calling AE titles to accept; an empty list accepts all")
    maximum_associations: int = Field(10, ge=1, le=1000, description="associations at once; more are rejected")
    # Measured on loopback: 10 MB in 105 ms at 16 KiB, in 59 ms at 128 KiB.
    maximum_pdu_bytes: int = Field(128 * 2**10, ge=4096, le=2**20, description="maximum length of a received PDU")
    idle_seconds: float = Field(
        60.0, gt=0, description="seconds without a byte, or without a C-STORE, after which an association is aborted"
    )
    maximum_negotiating: int = Field(
        32, ge=1, le=256, description="connections at once that have not negotiated; the oldest is closed for a new one"
    )
    negotiation_seconds: float = Field(
        10.0, gt=0, description="maximum seconds from a connection to its association, with the TLS handshake"
    )
    pdu_seconds: float = Field(30.0, gt=0, description="maximum seconds in which a PDU arrives")
    # 128 kbit/s: a tenth of the slowest line that a radiograph of 10 MB is sent over in minutes
    minimum_bytes_per_second: int = Field(
        16 * 2**10, ge=1, description="least mean rate of a data set, counted after TRIAGE_DIMSE__PDU_SECONDS"
    )
    service_url: str = Field("http://127.0.0.1:8000", description="URL of `triage serve`")
    service_seconds: float = Field(60.0, gt=0, description="maximum seconds to wait for the service, per file")
    key_file: Path | None = Field(None, description="file with an API key (scope predict), read for each DICOM file")
    memory_bytes: int = Field(2 * 2**30, ge=2**29, description="maximum address space of the acceptor process, bytes")
    tls_certificate: Path | None = Field(None, description="PEM file of the certificate chain; setting it turns TLS on")
    tls_key: Path | None = Field(None, description="PEM file of the private key; by default the certificate's file")
    tls_ca: Path | None = Field(
        None, description="PEM file of CA certificates; callers must then present a certificate that one of them signed"
    )

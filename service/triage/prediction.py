"""The stored prediction: the result of one artefact for one radiograph."""

from dataclasses import dataclass

from service.triage.finding import Finding
from service.triage.rule import Priority

Box = tuple[int, int, int, int]
Content = tuple[float, float, float, float]


@dataclass(frozen=True)
class Network:
    """The artefact that made a prediction; `sha256` is the SHA-256 of its file, lower-case hex."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Timings:
    """Milliseconds that each stage of the prediction took."""

    read: float = 0.0
    decode: float = 0.0
    prepare: float = 0.0
    queue: float = 0.0
    infer: float = 0.0
    store: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """Findings, priority and the box of the region of attention.

    Attributes
    ----------
    reason
        Positive findings that made the priority, in label order; empty for ROUTINE.
    margin
        Largest logit margin over a threshold, of the findings that the rule names (`TriageResult`); None where none of
        them has an operating point.
    findings
        One finding per label, in the order of the network's outputs.
    box
        (x0, y0, x1, y1) in pixels of the radiograph that was sent, exclusive end.
    content
        Part of the canvas that the radiograph covers, (x0, y0, x1, y1) in [0, 1].
    flags
        Codes of warnings about the radiograph, snake_case.
    """

    priority: Priority
    reason: tuple[str, ...]
    margin: float | None
    findings: tuple[Finding, ...]
    box: Box
    content: Content
    flags: tuple[str, ...]
    network: Network
    timings_ms: Timings

    @property
    def evaluated(self) -> tuple[Finding, ...]:
        """Findings with a probability: not those of labels that training never saw."""
        return tuple(finding for finding in self.findings if finding.probability is not None)

    @property
    def second_look(self) -> bool:
        """Whether the local branch examined the region of the box."""
        return any(finding.local is not None for finding in self.findings)

    @property
    def leading(self) -> Finding | None:
        """The finding that pictures show first: the one farthest above its threshold of those that made the priority.

        Of all positive findings if none of them is in the rule; None where nothing is positive.
        """
        positive = [finding for finding in self.findings if finding.positive]
        made = [finding for finding in positive if finding.label in self.reason]
        return max(made or positive, key=lambda finding: finding.margin or 0.0, default=None)

    @property
    def emphasises_box(self) -> bool:
        """Whether pictures draw the box unasked: something is positive, and the local branch examined the region."""
        return self.leading is not None and self.second_look

    @property
    def positive(self) -> tuple[str, ...]:
        """Labels of the positive findings, in label order."""
        return tuple(finding.label for finding in self.findings if finding.positive)

"""From the outputs of the network to an unsaved record: the triage rule, the codes of findings, and warnings."""

from dataclasses import replace

from service.artefact.file import load
from service.artefact.typicality import flags, typical_images
from service.dicom.canvas import content, to_image
from service.dicom.radiograph import IDENTITY_VERSION, Header
from service.inference.session import Outputs
from service.objects.site_codes import codes_for
from service.settings import Settings
from service.storage.record import Record
from service.triage.finding import Finding
from service.triage.prediction import Network, Prediction, Timings
from service.triage.rule import Probabilities, triage
from service.triage.site_rule import rule_for


class Interpreter:
    """An artefact, and what the site's settings make of its outputs.

    Raises
    ------
    ArtefactError, ConfigurationError
        The artefact is invalid; the triage rule names a label that it does not have; or the site's table of codes
        cannot be used.

    Attributes
    ----------
    rule
        The triage rule in force.
    """

    def __init__(self, settings: Settings) -> None:
        self.artefact = load(settings.model.path, settings.model.sha256)
        card = self.artefact.card
        self.rule = rule_for(card, settings.triage.stat, settings.triage.high)
        self._codes = codes_for(card, settings.objects.codes)
        self._typical = typical_images(card)

    def record(self, header: Header, outputs: Outputs, timings_ms: dict[str, float]) -> Record:
        """Return the unsaved record of an image, which names no file yet."""
        return Record(
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            sop_instance_uid=header.sop_instance_uid,
            accession_number=header.accession_number,
            attributes=header.attributes,
            display_sha256=header.display_sha256,
            identity_version=IDENTITY_VERSION,
            artefact_sha256=self.artefact.sha256,
            instance_file="",
            instance_bytes=0,
            prediction=self._prediction(header, outputs, timings_ms),
            heat_map=outputs.heat_map,
            class_maps=outputs.class_maps,
        )

    def _prediction(self, header: Header, outputs: Outputs, timings_ms: dict[str, float]) -> Prediction:
        card = self.artefact.card
        probabilities = Probabilities(outputs.fusion, outputs.global_, outputs.local)
        result = triage(card.labels, card.operating_points, probabilities, self.rule, card.untrained)
        frame = (header.height, header.width, card.preprocessing.resize, header.aspect)
        return Prediction(
            priority=result.priority,
            reason=result.reason,
            margin=result.margin,
            findings=tuple(map(self._described, result.findings)),
            box=to_image(outputs.box, *frame),
            content=content(*frame),
            flags=(*header.flags, *flags(outputs.class_maps, outputs.heat_map, self._typical)),
            network=Network(card.name, card.version, self.artefact.sha256),
            timings_ms=Timings(**{stage: round(duration, 3) for stage, duration in timings_ms.items()}),
        )

    def _described(self, finding: Finding) -> Finding:
        references = self.artefact.card.statistics.class_map_quantile or {}
        return replace(finding, codes=self._codes.get(finding.label), map_reference=references.get(finding.label))

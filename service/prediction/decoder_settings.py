"""The decoder processes that the settings ask for."""

from service.dicom.policy import Policy
from service.dicom.reader import Bounds
from service.dicom.vocabulary import Meaning
from service.inference.provider import processors
from service.prediction.cage import Cage, libraries
from service.prediction.decoders import Decoders
from service.settings import Gate, Limits, Settings

_MOST = 16  # each takes about 100 MB


def decoders(settings: Settings) -> Decoders:
    """Return a pool of decoder processes."""
    limits = settings.limits
    bounds = Bounds(max_file_bytes=limits.max_file_bytes, max_pixels=limits.max_pixels)
    cage = Cage(limits.decode_memory_bytes, settings.decoders.cage, libraries())
    return Decoders(decoder_count(limits), limits.decode_seconds, cage, bounds, policy(settings.gate))


def decoder_count(limits: Limits) -> int:
    """Return the number of decoder processes."""
    return limits.decode_workers or min(processors(), _MOST)


def policy(gate: Gate) -> Policy:
    """Return the settings of the gate as its rules take them."""
    words = {
        Meaning.CHEST: gate.chest_words,
        Meaning.OTHER_PART: gate.other_part_words,
        Meaning.FRONTAL: gate.frontal_words,
        Meaning.LATERAL: gate.lateral_words,
        Meaning.OTHER_VIEW: gate.other_view_words,
        Meaning.NEUTRAL: gate.neutral_words,
    }
    return Policy(tuple((meaning, word) for meaning, some in words.items() for word in some), gate.minimum_age)

"""The card's entry of an artefact whose trunks compute with 8-bit integers."""

from typing import Annotated

from pydantic import Field

from service.artefact.model_card import Count, Part, Text

Share = Annotated[float, Field(ge=0, le=1)]
# A self-test with a larger tolerance would prove nothing.
MAX_PROBABILITY, MAX_HEAT_MAP = 0.02, 0.2
MAX_BOX = 0.1  # as a share of the side of the canvas


class Tolerance(Part):
    """How far outputs for the golden input may be off on a processor, in place of the usual tolerance if that is less.

    Integers are rounded, so the last bit of a float before decides between two of them, and a step is larger than what
    floats differ by between processors.

    Attributes
    ----------
    box
        Canvas pixels.
    """

    probability: float = Field(gt=0, le=MAX_PROBABILITY)
    heat_map: float = Field(gt=0, le=MAX_HEAT_MAP)
    box: float = Field(gt=0)


class Quantisation(Part):
    """What an artefact was quantised from, and how far its outputs are from those of that artefact.

    Attributes
    ----------
    derived_from
        SHA-256 of the artefact in float; metrics, operating points and statistics of the card were computed with it.
    calibration, calibration_images
        Images on which the ranges of the activations were measured.
    weight_bits
        7, so that no processor saturates; or 8, for processors with VNNI.
    source, images
        Images on which the two were compared.
    auroc_float, auroc
        Macro AUROC of the artefact in float and of this one.
    box_iou
        Mean intersection over union of their boxes.
    agreement
        Share of the decisions at operating points that are the same; None without operating points.
    largest_difference
        Of a probability.
    tolerance
        Tolerance of the golden self-test.
    """

    derived_from: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    calibration: Text
    calibration_images: int = Field(ge=1)
    weight_bits: int = Field(ge=7, le=8)
    source: Text
    images: Count
    auroc_float: Share
    auroc: Share
    box_iou: Share
    agreement: Share | None
    largest_difference: Share
    tolerance: Tolerance

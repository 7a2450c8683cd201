"""The picture stored in many ways, each with its expected display values, worked out by hand.

The display value of a grey g of the picture is g / 255 in every way, or the SIGMOID curve of that. Stored values are
base + k u, with u = g or 255 - g: whole numbers at each depth, so that nothing is rounded.
"""

from typing import Any

import numpy as np
from pydicom import Dataset

from tests.factories import chest
from tests.service.dicom.conformance.pairs import Combination
from tests.service.dicom.conformance.picture import border, picture

AXES = {
    "Bits Stored": ("8 of 8", "8", "9", "10", "11", "12", "13", "14", "15", "16"),
    "Pixel Representation": ("unsigned", "signed"),
    "modality": ("none", "slope 1", "slope -1", "slope 0.25", "Modality LUT"),
    "VOI": (
        "none",
        "window",
        "LINEAR",
        "LINEAR_EXACT",
        "SIGMOID",
        "VOI LUT of 8 bits",
        "VOI LUT of 16 bits",
    ),
    "Photometric Interpretation": ("MONOCHROME1", "MONOCHROME2"),
    "Presentation LUT Shape": ("absent", "IDENTITY", "INVERSE"),
    "padding": ("none", "value", "range"),
    "pixel": ("nothing said", "Imager Pixel Spacing equal", "Imager Pixel Spacing 2:1", "Pixel Aspect Ratio 1:2"),
}
ASPECTS = {"Imager Pixel Spacing 2:1": 2.0, "Pixel Aspect Ratio 1:2": 0.5}
PLAIN: Combination = {axis: values[0] for axis, values in AXES.items()} | {
    "VOI": "LINEAR",
    "Photometric Interpretation": "MONOCHROME2",
    "Presentation LUT Shape": "IDENTITY",
}


def allowed(some: Combination) -> bool:
    """A VOI LUT maps whole numbers, PS3.3 C.11.2.1.1; quarters are not defined."""
    return not (some.get("modality") == "slope 0.25" and some.get("VOI", "").startswith("VOI LUT"))


def depth(chosen: Combination) -> tuple[int, int, int]:
    """Return (Bits Stored, k, base); beyond 8 bits they leave values for padding below and above the picture."""
    bits = int(chosen["Bits Stored"].split()[0])
    k, base = ((2**bits - 9) // 255, 4) if bits > 8 else (1, 0)
    return bits, k, base - (2 ** (bits - 1) if chosen["Pixel Representation"] == "signed" else 0)


def inverse(chosen: Combination) -> bool:
    """Whether low is white: the shape decides where there is one, PS3.3 C.11.6; both together invert once."""
    shape = chosen["Presentation LUT Shape"]
    return shape == "INVERSE" or (shape == "absent" and chosen["Photometric Interpretation"] == "MONOCHROME1")


def falls(chosen: Combination) -> bool:
    """Whether the modality transformation inverts the greys: the table here and a negative slope do."""
    return chosen["modality"] in ("slope -1", "Modality LUT")


def stored(chosen: Combination) -> np.ndarray:
    """Return the stored values, [H, W]; the border holds padding where there is any."""
    _, k, base = depth(chosen)
    grey = picture().astype(np.int64)
    values = base + k * (255 - grey if inverse(chosen) != falls(chosen) else grey)
    if chosen["padding"] != "none":
        codes = np.array(padding(chosen))
        values[border()] = codes[np.indices(grey.shape).sum(0) % codes.size][border()]
    kind = "i" if chosen["Pixel Representation"] == "signed" else "u"
    return values.astype(f"{kind}{1 if chosen['Bits Stored'] == '8 of 8' else 2}")


def padding(chosen: Combination) -> tuple[int, ...]:
    """Return values that the picture does not use, at the end that would be white if it were not padding."""
    bits, k, base = depth(chosen)
    high = inverse(chosen) == falls(chosen)
    if bits == 8:
        codes = (base + 254, base + 253) if high else (base + 1, base + 2)
    else:
        codes = (base + 255 * k + 1, base + 255 * k + 3) if high else (base - 1, base - 3)
    return codes if chosen["padding"] == "range" else codes[:1]


def shades(chosen: Combination) -> np.ndarray:
    """Return the expected display values, [H, W] float64."""
    grey = picture() / 255
    greys = 1 / (1 + np.exp(-4 * (grey - 0.5) / 0.6)) if chosen["VOI"] == "SIGMOID" else grey  # PS3.3 C.11.2.1.3.1
    return np.where(border() & (chosen["padding"] != "none"), 0.0, greys)


def flags(chosen: Combination) -> set[str]:
    """Return the expected flags."""
    eight_bits = depth(chosen)[0] == 8 and chosen["Pixel Representation"] == "unsigned" and chosen["modality"] == "none"
    conflict = chosen["Presentation LUT Shape"] != "absent" and inverse(chosen) != (
        chosen["Photometric Interpretation"] == "MONOCHROME1"
    )
    expected = {
        "window_missing": chosen["VOI"] == "none" and not eight_bits,
        "polarity_conflict": conflict,
        "pixels_not_square": chosen["pixel"] in ASPECTS,
    }
    return {flag for flag, raised in expected.items() if raised}


def wrap(chosen: Combination) -> Dataset:
    """Return the picture as a data set."""
    elements: dict[str, Any] = {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": None}
    elements |= {"BitsStored": depth(chosen)[0], "PhotometricInterpretation": chosen["Photometric Interpretation"]}
    shape = chosen["Presentation LUT Shape"]
    elements |= {"PresentationLUTShape": None if shape == "absent" else shape}
    elements |= _modality(chosen) | _voi(chosen) | _pixel(chosen)
    codes = padding(chosen)
    if chosen["padding"] != "none":
        elements |= {"PixelPaddingValue": codes[0]}
    if chosen["padding"] == "range":
        elements |= {"PixelPaddingRangeLimit": codes[1]}
    return chest(stored(chosen), **elements)


def _modality(chosen: Combination) -> dict[str, Any]:
    _, k, base = depth(chosen)
    if chosen["modality"] == "Modality LUT":  # 7 + 40 h over all codes of the picture, falling
        greys = np.interp(np.arange(255 * k + 1) / k, [0, 255], [255, 0])
        return {"ModalityLUTSequence": [_table(chosen, base, np.rint(7 + 40 * greys), 16)]}
    slope, intercept = _rescale(chosen)
    return {} if chosen["modality"] == "none" else {"RescaleSlope": slope, "RescaleIntercept": intercept}


def _rescale(chosen: Combination) -> tuple[float, float]:
    bits = depth(chosen)[0]
    signed = chosen["Pixel Representation"] == "signed"
    return {
        "none": (1.0, 0.0),
        "slope 1": (1.0, 1024.0 if signed else -1024.0),
        "slope -1": (-1.0, -1.0 if signed else 2.0**bits - 1),
        "slope 0.25": (0.25, -0.5),
    }[chosen["modality"]]


def _line(chosen: Combination) -> tuple[float, float]:
    """Return (α, β): the value after the modality is α + β h, with h the greys from 0 to 255 before any inversion."""
    if chosen["modality"] == "Modality LUT":
        return 7.0, 40.0
    _, k, base = depth(chosen)
    slope, intercept = _rescale(chosen)
    darkest = base + 255 * k if slope < 0 else base
    return slope * darkest + intercept, abs(slope) * k


def _voi(chosen: Combination) -> dict[str, Any]:
    start, rise = _line(chosen)
    kind, centre, width = chosen["VOI"], start + 127.5 * rise, 255 * rise
    if kind in ("window", "LINEAR"):  # PS3.3 C.11.2.1.2.1: from c - 0.5 - (w - 1)/2 to c - 0.5 + (w - 1)/2
        elements: dict[str, Any] = {"WindowCenter": centre + 0.5, "WindowWidth": width + 1}
        return elements if kind == "window" else elements | {"VOILUTFunction": kind}
    if kind == "LINEAR_EXACT":
        return {"WindowCenter": centre, "WindowWidth": width, "VOILUTFunction": kind}
    if kind == "SIGMOID":
        return {"WindowCenter": centre, "WindowWidth": 0.6 * width, "VOILUTFunction": kind}
    if kind == "none":
        return {}
    bits = int(kind.split()[-2])
    entries = np.interp(np.arange(255 * int(rise) + 1) / rise, [0, 255], [0, 2**bits - 1])
    table = _table(chosen, int(start), np.rint(entries), bits)
    return {"VOILUTSequence": [table], "WindowCenter": centre, "WindowWidth": width / 3}  # the LUT wins


def _table(chosen: Combination, first: int, entries: np.ndarray, bits: int) -> Dataset:
    item = Dataset()
    count = entries.size % 2**16  # 65536 entries are written as 0, PS3.3 C.11.1.1
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [_signed(count) if first < 0 else count, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def _signed(count: int) -> int:
    """Return the count in 16 bits with a sign, for a descriptor that is written with one."""
    return count - 2**16 if count >= 2**15 else count


def _pixel(chosen: Combination) -> dict[str, Any]:
    return {
        "nothing said": {},
        "Imager Pixel Spacing equal": {"ImagerPixelSpacing": [0.143, 0.143]},
        "Imager Pixel Spacing 2:1": {"ImagerPixelSpacing": [0.2, 0.1]},
        "Pixel Aspect Ratio 1:2": {"PixelAspectRatio": [1, 2]},
    }[chosen["pixel"]]

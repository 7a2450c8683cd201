"""A data set in the DICOM JSON model, PS3.18 annex F, without bulk data."""

import json
import math
from contextlib import suppress
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import BaseTag

from service.dicom.reader import Bounds, parse

_BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
_MAX_BYTES = 1024  # a longer value in one of these VRs is bulk data


def metadata(data: bytes, bounds: Bounds) -> str:
    """Convert a file's data set to one JSON object without bulk data and values that do not fit their VR.

    Raises
    ------
    MalformedDicom, TooLarge
    """
    dataset = parse(data, bounds)
    _remove_bulk_data(dataset)
    document = dataset.to_json_dict(suppress_invalid_tags=True)
    document["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8
    document["00083002"] = {
        "vr": "UI",
        "Value": [str(dataset.file_meta.TransferSyntaxUID)],
    }  # Available Transfer Syntax
    return json.dumps(_finite(dict(sorted(document.items()))), allow_nan=False)


def _remove_bulk_data(dataset: Dataset) -> None:
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        vrs = (raw.VR or _vr(tag)).split(" or ")
        if "SQ" in vrs:
            for item in dataset[tag].value:
                _remove_bulk_data(item)
        elif tag.group == 0x7FE0 or (set(vrs) & _BULK and len(raw.value or b"") > _MAX_BYTES):
            del dataset[tag]
        else:
            with suppress(
                Exception
            ):  # what cannot be read is left out below; what is merely not in its VR's form is not
                dataset[tag]


def _vr(tag: BaseTag) -> str:
    """VR from the dictionary, for Implicit VR; it may be a choice such as `US or OW`."""
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"


def _finite(value: Any) -> Any:
    """Replace infinity and NaN, which JSON does not have, by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

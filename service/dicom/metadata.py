"""A data set in the DICOM JSON model, PS3.18 annex F, without its bulk data."""

import json
import math
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import BaseTag

from service.dicom.reader import Bounds, parse

_BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
_LONGEST = 1024  # bytes of a value that is told here


def metadata(data: bytes, bounds: Bounds) -> str:
    """Tell a file's data set as one JSON object; bulk data and values that do not fit their VR are left out.

    Raises
    ------
    MalformedDicom, TooLarge
    """
    dataset = parse(data, bounds)
    _leave_out(dataset)
    told = dataset.to_json_dict(suppress_invalid_tags=True)
    told["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8
    told["00083002"] = {"vr": "UI", "Value": [str(dataset.file_meta.TransferSyntaxUID)]}  # Available Transfer Syntax
    return json.dumps(_finite(dict(sorted(told.items()))), allow_nan=False)


def _leave_out(dataset: Dataset) -> None:
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        vrs = (raw.VR or _vr(tag)).split(" or ")
        if "SQ" in vrs:
            for item in dataset[tag].value:
                _leave_out(item)
        elif tag.group == 0x7FE0 or (set(vrs) & _BULK and len(raw.value or b"") > _LONGEST):
            del dataset[tag]


def _vr(tag: BaseTag) -> str:
    """What Implicit VR leaves to the dictionary, which may leave a choice: `US or OW`."""
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

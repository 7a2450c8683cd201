"""A data set in the DICOM JSON model, PS3.18 annex F, with a URI in place of bulk data."""

import json
import math
from typing import Any

from service.dicom.bulk_data import bulk_elements
from service.dicom.reader import Bounds, parse

FOLDER = "bulkdata"
_URI = '"BulkDataURI": "'  # with these quotes it cannot be part of a value


def metadata(data: bytes, bounds: Bounds) -> str:
    """Convert a file's data set to one JSON object, without values that do not fit their VR.

    Returns
    -------
    An object whose Bulk Data URIs are relative to the instance: `bulkdata/7FE00010`; see `resolved`.

    Raises
    ------
    MalformedDicom, TooLarge
    """
    dataset = parse(data, bounds)
    removed = []
    for holder, path, tag, vr in bulk_elements(dataset):
        removed.append((path, f"{tag:08X}", vr))
        del holder[tag]
    document: dict[str, Any] = dataset.to_json_dict(suppress_invalid_tags=True)
    for path, name, vr in removed:
        holder_document = _item(document, path)
        if holder_document is not None:
            holder_document[name] = {"vr": vr, "BulkDataURI": f"{FOLDER}/{path}{name}"}
    document["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8
    document["00083002"] = {
        "vr": "UI",
        "Value": [str(dataset.file_meta.TransferSyntaxUID)],
    }  # Available Transfer Syntax
    return json.dumps(_finite(_ordered(document)), allow_nan=False)


def resolved(document: str, url: str) -> str:
    """Return metadata with absolute Bulk Data URIs.

    Parameters
    ----------
    url
        Of the instance, without a trailing slash.
    """
    return document.replace(_URI, f"{_URI}{url}/")


def _item(document: dict[str, Any], path: str) -> dict[str, Any] | None:
    """Return the object of an item; None where its sequence did not fit its VR."""
    steps = path.split("/")[:-1]
    item = document
    for sequence, number in zip(steps[::2], steps[1::2], strict=True):
        values = item.get(sequence, {}).get("Value", [])
        if len(values) < int(number):
            return None
        item = values[int(number) - 1]
    return item


def _ordered(document: dict[str, Any]) -> dict[str, Any]:
    """Put the attributes of a data set, and of every item, in the order of tags."""
    for element in document.values():
        if element.get("vr") == "SQ" and "Value" in element:
            element["Value"] = [_ordered(item) for item in element["Value"]]
    return dict(sorted(document.items()))


def _finite(value: Any) -> Any:
    """Replace infinity and NaN, which JSON does not have, by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The OpenAPI document: a summary, an example of the answer and a command to try for each route."""

import json
import re
from typing import Any

from fastapi import FastAPI

from service.http import examples
from service.http.problems import MEDIA_TYPE as PROBLEM

Part = dict[str, Any]

_DICOM_JSON = "application/dicom+json"
_TEXT = ("json", "text/", "hl7")  # what is shown as text; the rest is files


class Documented(FastAPI):
    """An application whose OpenAPI document has summaries and examples."""

    def openapi(self) -> Part:
        """Return the document, which is made once."""
        if self.openapi_schema is None:
            self.openapi_schema = illustrated(super().openapi())
        return self.openapi_schema


def illustrated(document: Part) -> Part:
    """Add to each operation its summary, the examples of its parameters, bodies and answers, and a command."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _summarise(operation)
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in examples.PARAMETERS:
                    parameter["example"] = examples.PARAMETERS[parameter["name"]]
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                _illustrate(content, media_type, path, method)
            for status, answer in operation["responses"].items():
                for media_type, content in answer.get("content", {}).items():
                    _illustrate(content, media_type, path, method if status.startswith("2") else "")
            operation["description"] += f"\n\n    {command(path, method, operation)}"
    return document


def command(path: str, method: str, operation: Part) -> str:
    """Return a command line that sends the request of an operation."""
    url = "http://127.0.0.1:8000" + re.sub(r"\{(\w+)\}", lambda name: examples.PARAMETERS.get(name[1], name[1]), path)
    body = operation.get("requestBody", {}).get("content", {})
    answers = _media_types(operation)
    options = []
    if method not in ("get", "post") or (method == "post" and not body):
        options.append(f"-X {method.upper()}")
    if "multipart/form-data" in body:
        options.append("-F file=@radiograph.dcm")
    elif "application/dicom" in body:
        options.append("--data-binary @radiograph.dcm -H 'Content-Type: application/dicom'")
    elif "application/json" in body:
        options.append(
            f"-H 'Content-Type: application/json' -d '{json.dumps(body['application/json'].get('example', {}))}'"
        )
    if "text/event-stream" in answers:
        options.append("-N")
    elif answers and not any(part in answers[0] for part in _TEXT):
        options.append(f"-o {url.rpartition('/')[2]}")
    return " ".join(["curl", *options, url])


def _media_types(operation: Part) -> list[str]:
    """Return the media types of the answers of success."""
    successes = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    return [media_type for answer in successes for media_type in answer.get("content", {})]


def _summarise(operation: Part) -> None:
    """Make the first sentence of the description the summary, in place of the name of a function."""
    first, _, rest = operation["description"].partition("\n\n")
    sentence, _, more = first.replace("\n", " ").partition(". ")
    operation["summary"] = sentence.rstrip(".")
    operation["description"] = "\n\n".join(part for part in (more, rest) if part) or f"{sentence.rstrip('.')}."


def _illustrate(content: Part, media_type: str, path: str, method: str) -> None:
    example = (
        examples.PROBLEM if media_type == PROBLEM else _example(content.get("schema", {}), media_type, path, method)
    )
    if example is not None:
        content["example"] = example


def _example(schema: Part, media_type: str, path: str, method: str) -> Any:
    if media_type == _DICOM_JSON or (path.startswith("/dicom-web") and media_type == "application/json"):
        return examples.STORED if method in ("post", "") else examples.DATA_SETS
    named = [part["$ref"] for part in (schema, *schema.get("anyOf", ())) if "$ref" in part]
    if named:
        return examples.BY_SCHEMA.get(named[0].rpartition("/")[2])
    return examples.BY_NAME.get(path.rpartition("/")[2])

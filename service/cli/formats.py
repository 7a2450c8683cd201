"""The result of a file in words, as a line of JSON and as the row of a table, and how results are printed."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import typer

from service.artefact.card import NOTICE

Item = dict[str, Any]
Writer = Callable[[Item], None]
Format = Literal["words", "json", "csv", "parquet"]

_BEFORE_LABELS = ("filename", "status", "code", "detail", "priority", "margin", "reason", "flags")
BETWEEN = "; "  # between several values of one cell, as in the CSV table of the worklist


def writer(form: Literal["words", "json", "csv"], labels: Sequence[str]) -> Writer:
    """Print what stands above the results, and return a function that prints one result at once, whole."""
    if form == "json":
        return lambda item: _print(json_line(item))
    if form == "words":
        typer.echo(NOTICE)
        return lambda item: _print("\n".join(_words(item)) + "\n")
    _print(csv_line(columns(labels)))
    return lambda item: _print(csv_line(cells(item, len(labels))))


def append(descriptor: int, data: bytes) -> None:
    """Write all of the data; one call may take only a part, as when the disk fills up or a signal arrives."""
    while data:
        data = data[os.write(descriptor, data) :]


def json_line(item: Item) -> str:
    """Return a result as a line of JSON."""
    return json.dumps(item) + "\n"


def csv_line(row: Sequence[str]) -> str:
    """Return a row of a CSV table, which has several lines if a value has."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()


def _print(text: str) -> None:
    """Print a whole text: `sys.stdout` drops the rest of one if Ctrl-C interrupts its write to a terminal."""
    sys.stdout.flush()
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # it is not a file
        sys.stdout.write(text)
    else:
        append(descriptor, text.encode(sys.stdout.encoding, "backslashreplace"))


def without_picture(item: Item) -> str:
    """Say why a file that was predicted has no picture."""
    refusal = item["picture_problem"]
    return f"{item['filename']}: no picture ({refusal['code']}): {refusal['detail']}"


def codes(item: Item) -> list[str]:
    """Return the codes of the reasons why a file was refused; none if it was predicted."""
    refusal = item.get("problem")
    return [] if refusal is None else [reason["code"] for reason in refusal.get("errors", [refusal])]


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a table's columns."""
    return *_BEFORE_LABELS, *labels, "artefact_sha256"


def values(item: Item, count: int) -> list[Any]:
    """Return a row of a table of `count` labels, with None where there is no value and lists of codes and names."""
    start = [item["filename"], item["status"], codes(item)]
    if "problem" in item:
        middle = [item["problem"]["detail"], None, None, [], [], *[None] * count]
    else:
        prediction = item["prediction"]
        probabilities = [finding["probability"] for finding in prediction["findings"]]
        middle = [
            None,
            prediction["priority"],
            item["margin"],
            prediction["reason"],
            prediction["flags"],
            *probabilities,
        ]
    return [*start, *middle, item["artefact_sha256"]]


def cells(item: Item, count: int) -> list[str]:
    """Return a row as text."""
    return [_cell(value) for value in values(item, count)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return BETWEEN.join(value)
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _words(item: Item) -> Iterator[str]:
    """Format a prediction for people: a line for the file, and below it a line per finding."""
    if "problem" in item:
        refusal = item["problem"]
        yield f"{item['filename']}: refused ({', '.join(codes(item))}): {refusal['detail']}"
        return
    prediction = item["prediction"]
    reason = ", ".join(prediction["reason"])
    yield f"{item['filename']}: {prediction['priority']}{reason and f' for {reason}'}"
    if prediction["box"] is not None:
        second_look = "" if prediction["second_look"] else ", without a second look"
        yield "  region of attention: x {0}-{2}, y {1}-{3} of the image".format(*prediction["box"]) + second_look
    if prediction["flags"]:
        yield f"  flags: {', '.join(prediction['flags'])}"
    width = max(19, *(len(finding["label"]) for finding in prediction["findings"]))
    for finding in prediction["findings"]:
        if finding["probability"] is None:
            yield f"  {finding['label']:<{width}} -      not evaluated: the network was not trained on it"
            continue
        has_point = finding["threshold"] is not None
        verdict = ("positive" if finding["positive"] else "negative") if has_point else "no operating point"
        threshold = f" at {finding['threshold']:.3f}" if has_point else ""
        yield f"  {finding['label']:<{width}} {finding['probability']:.3f}  {verdict}{threshold}"

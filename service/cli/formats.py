"""How `triage predict` prints the result of a file: words, JSON lines or a CSV table."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import typer

from service.artefact.card import NOTICE

Item = dict[str, Any]
Writer = Callable[[Item], None]
Format = Literal["words", "json", "csv"]

_BETWEEN = "; "  # between several values of one cell, as in the CSV table of the worklist


def writer(form: Format, labels: Sequence[str]) -> Writer:
    """Print what stands above the results, and return a function that prints one result at once, whole."""
    if form == "json":
        return lambda item: typer.echo(json.dumps(item))
    if form == "words":
        typer.echo(NOTICE)
        return lambda item: typer.echo("\n".join(_words(item)))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("filename", "status", "code", "detail", "priority", "margin", "reason", "flags", *labels))

    def write(item: Item) -> None:
        table.writerow(_row(item, len(labels)))
        sys.stdout.flush()  # so that a table cut short ends with a whole line

    return write


def without_picture(item: Item) -> str:
    """Say why a file that was predicted has no picture."""
    refusal = item["picture_problem"]
    return f"{item['filename']}: no picture ({refusal['code']}): {refusal['detail']}"


def _codes(refusal: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in refusal.get("errors", [refusal])]


def _row(item: Item, count: int) -> list[object]:
    if "problem" in item:
        refusal = item["problem"]
        codes = _BETWEEN.join(_codes(refusal))
        return [item["filename"], item["status"], codes, refusal["detail"], "", "", "", "", *[""] * count]
    prediction = item["prediction"]
    margin = item["margin"]
    probabilities = (finding["probability"] for finding in prediction["findings"])
    return [
        item["filename"],
        item["status"],
        "",
        "",
        prediction["priority"],
        "" if margin is None else f"{margin:.6f}",
        _BETWEEN.join(prediction["reason"]),
        _BETWEEN.join(prediction["flags"]),
        *("" if probability is None else f"{probability:.6f}" for probability in probabilities),
    ]


def _words(item: Item) -> Iterator[str]:
    """Format a prediction for people: a line for the file, and below it a line per finding."""
    if "problem" in item:
        refusal = item["problem"]
        yield f"{item['filename']}: refused ({', '.join(_codes(refusal))}): {refusal['detail']}"
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

"""Codes of findings that a site or an artefact states, instead of those of `objects.codes`."""

import csv
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from service.artefact.card import Card, Code, LabelCodes
from service.errors import ConfigurationError
from service.objects.codes import Coded, row

SETTING = "TRIAGE_OBJECTS__CODES"
_FINDING, _SITE = (
    tuple(f"{concept}_{part}" for part in ("value", "scheme", "meaning")) for concept in ("finding", "site")
)
COLUMNS = ("label", *_FINDING, *_SITE)

Codes = Mapping[str, LabelCodes]


def codes_for(card: Card, path: Path | None) -> dict[str, LabelCodes]:
    """Return the codes of the artefact's labels that are in the site's table or else in the card.

    Raises
    ------
    ConfigurationError
        The table cannot be read; a code does not fit DICOM; or two labels have one code, so that a receiver could not
        tell them apart.
    """
    site = {} if path is None else _read(path, card.codes)
    codes = {label: {**card.codes, **site}[label] for label in card.labels if label in card.codes or label in site}
    _check(card, codes)
    return codes


def unknown_labels(card: Card, path: Path) -> tuple[str, ...]:
    """Return the labels of the site's table that the artefact does not have; their rows are not used."""
    return tuple(label for label in _read(path, card.codes) if label not in card.labels)


def _read(path: Path, others: Codes) -> dict[str, LabelCodes]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            names = tuple(table.fieldnames or ())
            if names != COLUMNS:
                raise ConfigurationError(f"{SETTING}: {path}: expected the columns {','.join(COLUMNS)}")
            rows = [(table.line_num, line) for line in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{SETTING}: {path}: cannot be read ({reason})") from None
    codes: dict[str, LabelCodes] = {}
    for number, line in rows:
        where = f"{SETTING}: {path}: line {number}"
        if None in line or None in line.values():
            raise ConfigurationError(f"{where}: expected {len(COLUMNS)} columns")
        if line["label"] in codes:
            raise ConfigurationError(f"{where}: {line['label']!r} is in the table twice")
        try:
            codes[line["label"]] = _codes(line, others)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ConfigurationError(f"{where}: {first['loc'][0]}: {first['msg']}") from None
    return codes


def _codes(line: dict[str, str], others: Codes) -> LabelCodes:
    """Return the codes of a row; without a site it keeps the one that the label has otherwise."""
    finding = _code(*(line[name] for name in _FINDING))
    if any(line[name] for name in _SITE):
        return LabelCodes(finding=finding, site=_code(*(line[name] for name in _SITE)))
    return LabelCodes(finding=finding, site=_code(*row(line["label"], others.get(line["label"])).site[:3]))


def _code(value: str, scheme: str, meaning: str) -> Code:
    return Code(value=value, scheme=scheme, meaning=meaning)


def _check(card: Card, codes: Codes) -> None:
    seen: dict[tuple[str, str], str] = {}
    for label in card.labels:
        finding, site = row(label, codes.get(label))
        for coded in (finding, site):
            if not _fits(coded):
                raise ConfigurationError(
                    f"the codes of {label!r}: expected printable text without backslashes, and no spaces in value and "
                    "scheme"
                )
        other = seen.setdefault((finding.value, finding.scheme), label)
        if other != label:
            raise ConfigurationError(
                f"{other!r} and {label!r} have the same code, {finding.value} of {finding.scheme}; give them different "
                f"ones in the table of {SETTING}"
            )


def _fits(coded: Coded) -> bool:
    """Whether a code can be written as DICOM (a backslash separates values), FHIR and HL7."""
    texts = (coded.value, coded.scheme, coded.meaning)
    plain = all(text.isprintable() and "\\" not in text and text == text.strip() for text in texts)
    return plain and not any(" " in text for text in texts[:2])

"""`triage check`: list the settings, and try once what the service needs to start."""

import asyncio
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from service import settings
from service.cli.settings_table import variables
from service.destinations import Destination
from service.errors import ConfigurationError, StartupError

if TYPE_CHECKING:
    from service.prediction.predictor import Predictor


def check() -> None:
    """List the settings with their values, and check that the service can start with them; nothing is written."""
    failures: list[StartupError] = []
    try:
        loaded: settings.Settings | None = settings.load()
    except ConfigurationError as error:
        loaded = None
        failures.append(error)
    _list_settings(loaded)
    if loaded is not None:
        typer.echo("configuration: sound")
        failures += asyncio.run(_try_start(loaded))
    if failures:
        raise failures[0]


def _list_settings(loaded: settings.Settings | None) -> None:
    table = Table("variable", "value", "meaning", box=None, pad_edge=False)
    for variable in variables(loaded):
        default = "" if variable.value == variable.default else f" (default {variable.default or 'none'})"
        table.add_row(variable.name, variable.value + default, variable.description)
    Console(width=160, highlight=False).print(table, "")


async def _try_start(loaded: settings.Settings) -> list[StartupError]:
    """Try each part, and print which are sound; return the error of the first that is not."""
    from service.cli.predict import with_workers
    from service.prediction.predictor import Predictor
    from service.storage.database import Database
    from service.storage.instance_store import instance_store
    from service.storage.url import database_url

    try:
        predictor = Predictor(with_workers(loaded, 1))
        typer.echo(f"artefact: sound, {predictor.artefact.card.name} {predictor.artefact.card.version}")
        typer.echo(f"          SHA-256 {predictor.artefact.sha256}")
        typer.echo(f"triage rule: {_rule(predictor)}")
        if loaded.objects.codes is not None:
            typer.echo(f"codes: {_codes(predictor, loaded.objects.codes)}")
        async with predictor.running() as session:
            typer.echo(f"provider: sound, {session.provider} ({session.reason}); the golden self-test passed")
            typer.echo(f"decoders: {_cage(predictor)}")
        with closing(instance_store(loaded.storage)) as instances:
            typer.echo(f"storage: sound, {instances.check()}")
        typer.echo(f"database: sound, {Database(database_url(loaded)).check()}")
        if loaded.sending.destinations:
            _check_files(loaded.sending.destinations)
            typer.echo("destinations: sound, their files can be used")
    except StartupError as error:
        return [error]
    return []


def _rule(predictor: "Predictor") -> str:
    """Describe the rule in force, and which of its findings cannot be positive."""
    card, rule = predictor.artefact.card, predictor.rule
    points = dict(zip(card.labels, card.operating_points, strict=True))
    never = [label for label in rule.labels if points[label] is None]
    parts = [f"STAT for {', '.join(rule.stat) or 'none'}", f"HIGH for {', '.join(rule.high) or 'none'}"]
    return "; ".join(parts + ([f"never positive, without an operating point: {', '.join(never)}"] if never else []))


def _cage(predictor: "Predictor") -> str:
    """Say what confines the decoder processes, and what it lacks."""
    parts = f"confined by {', '.join(predictor.cage.parts)}" if predictor.cage.parts else "not confined by the kernel"
    missing = predictor.cage.missing
    return f"sound, {parts}" + (f"; NOT COMPLETE, {'; '.join(missing)}" if missing else "")


def _codes(predictor: "Predictor", path: Path) -> str:
    """Say whether the site's table of codes is used in full."""
    from service.objects.site_codes import unknown_labels

    unused = unknown_labels(predictor.artefact.card, path)
    return f"sound, {path}" + (f"; not labels of the artefact, so not used: {', '.join(unused)}" if unused else "")


def _check_files(destinations: Iterable[Destination]) -> None:
    """Read the certificates and secrets of destinations, which the service reads only when it sends."""
    from service.sending import authorization, tls, webhook

    for destination in destinations:
        tls.context(destination)
        authorization.authorization(destination)
        if destination.protocol == "webhook":
            webhook.secret(destination)

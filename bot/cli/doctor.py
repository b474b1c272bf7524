"""``spanbot doctor``: is everything there that the bot needs?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from bot.cli.output import console, print_json
from bot.errors import ConfigurationError, SpanbotError
from bot.installation import Installation
from bot.settings import Settings, from_environment, unknown
from reader.errors import ReaderError
from retriever.errors import AnalysisError, RetrieverError


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: ``ok``, a ``problem``, or not used (``off``)."""

    name: str
    state: str
    detail: str


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check the settings, home folder, database, index, reader, Slack tokens and schedule."""
    checks = list(_checks())
    if as_json:
        print_json([{"check": c.name, "state": c.state, "detail": c.detail} for c in checks])
    else:
        colours = {"ok": "green", "problem": "red", "off": "dim"}
        for check in checks:
            line = Text(f"{check.state:<8}", style=colours[check.state])
            line.append(f" {check.name}: {check.detail}", style="")
            console.print(line)
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(1)


def _checks() -> Iterator[Check]:
    try:
        settings = from_environment()
    except ConfigurationError as error:  # nothing else can be looked at
        yield Check("settings", "problem", str(error))
        return
    strange = unknown()
    yield Check(
        "settings",
        "problem" if strange else "ok",
        "; ".join(strange) or "every variable can be read",
    )
    yield _check("home folder", lambda: _home(settings))
    try:
        installation = Installation(settings)
    except AnalysisError as error:
        yield Check("synonyms", "problem", str(error))
        return
    except (SpanbotError, RetrieverError) as error:
        yield Check("database", "problem", str(error))
        return
    with installation:
        yield _check("database", lambda: installation.database.name)
        yield _check("documents", lambda: _documents(installation))
        yield _check("search index", lambda: f"{len(installation.keeper.current()):,} passages")
        yield _check("reader", lambda: _reader(installation))
    if settings.slack_bot_token is None:
        yield Check("Slack", "off", "SLACK_BOT_TOKEN is not set (README: Connect Slack)")
    else:
        yield _check("Slack", lambda: _slack(settings))
    if settings.reindex_cron is None:
        yield Check("schedule", "off", "SPANBOT_REINDEX_CRON is not set")
    else:
        yield _check("schedule", lambda: _schedule(settings))


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except (SpanbotError, RetrieverError, ReaderError) as error:
        return Check(name, "problem", str(error))


def _home(settings: Settings) -> str:
    from bot.installation import make_home

    make_home(settings)
    if not os.access(settings.home, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"{settings.home} cannot be written; set SPANBOT_HOME to a folder that can"
        )
    return str(settings.home)


def _documents(installation: Installation) -> str:
    status = installation.knowledge.status()
    text = f"{status.documents:,} documents, {status.passages:,} passages"
    return f"{text}, {status.failed:,} with errors" if status.failed else text


def _reader(installation: Installation) -> str:
    reader = installation.reader()
    return f"{reader.name} on {reader.device}"


def _slack(settings: Settings) -> str:
    from bot.slack.app import identify, make_client
    from bot.slack.serve import check_app_token, check_settings

    check_settings(settings)
    identity = identify(make_client(settings))
    if settings.slack_app_token:
        check_app_token(settings)
    mode = "Socket Mode" if settings.slack_app_token else "HTTP"
    return f"{identity.name} in {identity.team}, {mode}"


def _schedule(settings: Settings) -> str:
    from bot.schedule import check_cron

    assert settings.reindex_cron is not None
    check_cron(settings.reindex_cron)
    return settings.reindex_cron

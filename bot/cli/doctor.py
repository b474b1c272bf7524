"""``spanbot doctor``: is everything there that the bot needs?"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from bot.calibration import calibration_of, misfit
from bot.cli.output import console, print_json
from bot.cli.quiet import quiet_slack
from bot.counts import count
from bot.errors import ConfigurationError, SpanbotError
from bot.installation import Installation, make_home
from bot.models import models_of, ranker_of, reader_of
from bot.settings import Reading, Settings, read, unknown
from reader.errors import ReaderError
from retriever.errors import AnalysisError, RetrieverError
from retriever.store.runs import CUT_OFF

# So many of what the last run could not read are named.
_SHOWN_FAILURES = 5

# The checks that need a database.
_OF_THE_DATABASE = ("database", "documents", "last reindexing", "search index")

# With another value of these the index would be made anew.
_OF_THE_INDEX = ("SPANBOT_RANKER", "SPANBOT_RETRIEVER", "SPANBOT_LANGUAGE")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Its state is ``ok``, ``problem``, ``warning`` (it works, but not as it could) or ``off``: not
    used, or not to be checked.
    """

    name: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Warned:
    """What was found of a thing that works, but not as it could."""

    detail: str


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check settings, home folder, database, index, models, confidence, Slack and schedule."""
    checks = list(_checks())
    if as_json:
        print_json([{"check": c.name, "state": c.state, "detail": c.detail} for c in checks])
    else:
        colours = {"ok": "green", "problem": "red", "warning": "yellow", "off": "dim"}
        for check in checks:
            line = Text(f"{check.state:<8}", style=colours[check.state])
            line.append(f" {check.name}: {check.detail}", style="")
            console.print(line)
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(1)


def _checks() -> Iterator[Check]:
    """Every check; with the default in the place of a wrong setting, where that does no harm."""
    found = read()
    problems = [*found.wrong.values(), *unknown()]
    for problem in problems:
        yield Check("settings", "problem", problem)
    if not problems:
        yield Check("settings", "ok", "every variable can be read")
    yield from _installation_checks(found)
    models = [
        _check("reader", lambda: _reader(found.settings)),
        _check("ranker", lambda: _ranker(found.settings))
        if found.settings.ranker
        else Check("ranker", "off", "SPANBOT_RANKER is off: BM25 alone ranks the passages"),
    ]
    yield from models
    yield _confidence_check(found.settings, models)
    yield _slack_check(found)
    if "SPANBOT_REINDEX_CRON" in found.wrong:
        yield _left_out("schedule", ["SPANBOT_REINDEX_CRON"])
    elif found.settings.reindex_cron is None:
        yield Check("schedule", "off", "SPANBOT_REINDEX_CRON is not set")
    else:
        yield Check("schedule", "ok", found.settings.reindex_cron)


def _installation_checks(found: Reading) -> Iterator[Check]:
    settings = found.settings
    if "SPANBOT_HOME" in found.wrong:  # another folder would be made, and is not meant
        for name in ("home folder", *_OF_THE_DATABASE):
            yield _left_out(name, ["SPANBOT_HOME"])
        return
    home = _check("home folder", lambda: _home(settings))
    yield home
    if home.state != "ok" and not settings.home.is_dir():
        return
    if "SPANBOT_DATABASE_URL" in found.wrong:  # nor another database
        for name in _OF_THE_DATABASE:
            yield _left_out(name, ["SPANBOT_DATABASE_URL"])
        return
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
        yield _check("last reindexing", lambda: _last_look(installation))
        if wrong := [name for name in _OF_THE_INDEX if name in found.wrong]:
            yield _left_out("search index", wrong)
        else:
            yield _check("search index", lambda: _search_index(installation))


def _confidence_check(settings: Settings, models: Sequence[Check]) -> Check:
    if broken := [model.name for model in models if model.state == "problem"]:
        return Check("confidence", "off", f"not checked, as the {broken[0]} cannot be used")
    try:
        wrong = misfit(calibration_of(settings), models_of(settings))
    except (SpanbotError, ReaderError) as error:
        return Check("confidence", "problem", str(error))
    if wrong is not None:
        return Check("confidence", "warning", wrong)
    return Check("confidence", "ok", "fitted with these models")


def _slack_check(found: Reading) -> Check:
    from bot.slack.serve import missing_settings

    settings = found.settings
    given = (settings.slack_bot_token, settings.slack_app_token, settings.slack_signing_secret)
    wrong = [name for name in found.wrong if name.startswith("SLACK_")]
    missing = {k: v for k, v in missing_settings(settings).items() if k not in wrong}
    if not any(given) and not wrong:
        return Check("Slack", "off", "no token is set (README: Connect Slack)")
    if missing:
        return Check("Slack", "problem", ". And ".join(missing.values()))
    if wrong:
        return _left_out("Slack", wrong)
    return _check("Slack", lambda: _slack(settings))


def _left_out(name: str, wrong: Sequence[str]) -> Check:
    return Check(name, "off", f"not checked, as {' and '.join(wrong)} cannot be read")


def _check(name: str, look: Callable[[], str | _Warned]) -> Check:
    try:
        found = look()
    except (SpanbotError, RetrieverError, ReaderError) as error:
        return Check(name, "problem", str(error))
    if isinstance(found, _Warned):
        return Check(name, "warning", found.detail)
    return Check(name, "ok", found)


def _home(settings: Settings) -> str:
    make_home(settings)
    effective = os.access in os.supports_effective_ids  # as whom files are written
    if not os.access(settings.home, os.W_OK | os.X_OK, effective_ids=effective):
        raise ConfigurationError(
            f"{settings.home} cannot be written; set SPANBOT_HOME to a folder that can"
        )
    mode = stat.S_IMODE(settings.home.stat().st_mode)
    if mode & stat.S_IXOTH:  # the files in it are made as the umask says: mostly for all to read
        raise ConfigurationError(
            f"{settings.home} has the mode {mode:o}: every user of this machine may read the "
            "documents and the questions that were asked in it; run: chmod 700 "
            f"{shlex.quote(str(settings.home))}"
        )
    return str(settings.home)


def _documents(installation: Installation) -> str | _Warned:
    status = installation.knowledge.status()
    if not status.documents:
        return "none yet; add some: spanbot add FOLDER"
    text = f"{count(status.documents, 'document')}, {count(status.passages, 'passage')}"
    if status.failed:
        text += f", {status.failed:,} with errors: spanbot docs list shows them"
    if not status.outdated:
        return text
    return _Warned(
        f"{text}; {status.outdated:,} read by an earlier version of spanbot and waiting to be read "
        "again; run: spanbot reindex"
    )


def _last_look(installation: Installation) -> str:
    """What the last run over the sources did, with the first of what it could not read.

    Raises:
        SpanbotError: it failed as a whole, was cut off, or could read nothing.
    """
    run = installation.knowledge.status().last_run
    if run is None:
        return "none yet"
    at, begun = run.finished_at or run.started_at, "" if run.finished_at else "begun "
    text = f"{begun}{at:%Y-%m-%d %H:%M} UTC, {run.trigger}: {run.state}"
    if run.error is not None:
        again = "; run: spanbot reindex" if run.state == CUT_OFF else ""
        raise SpanbotError(f"{text}: {run.error}{again}")
    if run.failed:
        shown = [f"{failure.uri}: {failure.message}" for failure in run.failures[:_SHOWN_FAILURES]]
        more = run.failed - len(shown)
        text = f"{text}; {run.failed:,} failed"
        if shown:  # no failures are kept of what earlier versions did
            text += ": " + "; ".join(shown) + (f"; and {more:,} more" if more else "")
        if not (run.counts.added or run.counts.changed or run.counts.unchanged):
            raise SpanbotError(text)
    return text


def _search_index(installation: Installation) -> str | _Warned:
    """The index as it is: making it up to date may take long, and would hide that it was not."""
    found = installation.keeper.standing()
    held = [] if found.passages is None else [count(found.passages, "passage")]
    if found.behind is None:
        return "".join(held)
    told = ", ".join([*held, found.behind])
    return _Warned(f"{told}; run: spanbot reindex (the next question would wait for it)")


def _reader(settings: Settings) -> str:
    from reader.reader import Passage

    reader = reader_of(settings)
    # Damaged weights load; that they answer nothing shows when they are asked.
    reader.read("Who answers?", [Passage("probe", 0, "The reader answers.")])
    return f"{reader.name} on {reader.device}"


def _ranker(settings: Settings) -> str:
    ranker = ranker_of(settings)
    return f"{ranker.name} on {ranker.device}"


def _slack(settings: Settings) -> str:
    from bot.slack.app import identify, make_client
    from bot.slack.serve import check_app_token

    with quiet_slack():
        identity = identify(make_client(settings))
        if settings.slack_app_token:
            check_app_token(settings)
    mode = "Socket Mode" if settings.slack_app_token else "HTTP"
    return f"{identity.name} in {identity.team}, {mode}"

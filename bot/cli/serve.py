"""``spanbot serve``: the Slack bot and the schedule, until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

import typer
from rich.text import Text

from bot.cli.opening import open_installation, warn_of_unknown_settings
from bot.cli.output import console
from bot.cli.quiet import quiet_slack
from bot.errors import ConfigurationError
from bot.installation import Installation
from bot.settings import Settings, read

# For the questions begun; then for a scheduled run, which has had those seconds as well; and for
# all of the end: whatever else should hang, a service that is stopped has to stop.
_STOP_SECONDS = 20.0
_SCHEDULE_SECONDS = 5.0
_END_SECONDS = 60.0


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(serve)


def serve() -> None:
    """Run the Slack bot, and reindex by the schedule if one is set."""
    from bot.slack.serve import missing_settings

    warn_of_unknown_settings()
    found = read()
    # All at once: whoever sets a bot up should not have to start it once for each.
    # A token of the wrong kind is not missing as well.
    if problems := {**missing_settings(found.settings), **found.wrong}:
        raise ConfigurationError(". And ".join(problems.values()))
    run_bot(found.settings)


def run_bot(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C, then finish what was begun.

    Raises:
        ConfigurationError: a token is missing or wrong.
    """
    from bot.schedule import Scheduler
    from bot.slack.app import SlackDependencies
    from bot.slack.serve import Connection, check_settings
    from bot.slack.serve import serve as serve_slack

    # What the bot does is worth a line, unless the log was set up otherwise.
    logging.getLogger("bot").setLevel(logging.INFO)
    check_settings(settings)
    with (
        _until_signal() as stop,
        _ending_within(_END_SECONDS, stop),
        open_installation(settings) as installation,
        ExitStack() as until_ready,
    ):
        until_ready.enter_context(quiet_slack())
        scheduler = None
        if settings.reindex_cron is not None:
            scheduler = Scheduler(
                settings.reindex_cron,
                installation.database,
                lambda claimed: installation.knowledge.reindex(trigger="schedule", claimed=claimed),
                owner=f"{socket.gethostname()}:{os.getpid()}",
            )

        def ready(connection: Connection) -> None:
            until_ready.close()
            console.print(Text(f"The bot is connected by {connection.description}"))
            if scheduler is not None:
                scheduler.start()
            threading.Thread(target=_warm_up, args=[installation], daemon=True).start()

        try:
            serve_slack(
                SlackDependencies(
                    settings=settings,
                    answerer=installation.answerer,
                    knowledge=installation.knowledge,
                    database=installation.database,
                ),
                stop,
                drain_s=_STOP_SECONDS,
                on_ready=ready,
            )
        finally:
            installation.knowledge.stop()  # nobody is told any more what a run has done
            if scheduler is not None:
                scheduler.stop(_SCHEDULE_SECONDS)


def _warm_up(installation: Installation) -> None:
    """Load what answers the first question; an error is told to whoever asks it."""
    for name, load in (("reader", installation.reader), ("index", installation.keeper.prepare)):
        try:
            load()
        except Exception:
            logging.getLogger("bot").exception("the %s cannot be loaded", name)


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def set_it(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, set_it) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ending_within(seconds: float, stop: threading.Event) -> Iterator[None]:
    """From ``stop`` on the block has so many seconds; then the process ends as it is."""
    ended = threading.Event()

    def watch() -> None:
        stop.wait()
        if not ended.wait(seconds):
            logging.getLogger("bot").error("the end took more than %.3g s; giving up", seconds)
            os._exit(1)

    threading.Thread(target=watch, name="end", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        stop.set()

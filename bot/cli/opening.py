"""Opening the installation that a command works on."""

from __future__ import annotations

from bot.cli.output import errors
from bot.installation import Installation
from bot.settings import Settings, from_environment


def open_installation(settings: Settings | None = None) -> Installation:
    """The installation of the environment's settings; notices go to standard error."""
    return Installation(
        settings or from_environment(),
        notify=lambda notice: errors.print(f"Note: {notice}", style="yellow", markup=False),
    )


def say_if_empty(installation: Installation) -> bool:
    """Whoever mistyped SPANBOT_HOME must not believe that nothing is known."""
    empty = not installation.knowledge.status().documents
    if empty:
        errors.print(
            f"There are no documents in {installation.settings.home} yet; add some: "
            "spanbot add FOLDER",
            style="yellow",
            markup=False,
        )
    return empty

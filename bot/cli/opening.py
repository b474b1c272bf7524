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

"""The settings that a command works by, and opening the installation that they name."""

from __future__ import annotations

from bot.cli.output import errors, note
from bot.installation import Installation
from bot.settings import Settings, from_environment, unknown


def warn_of_unknown_settings() -> None:
    """Tell on standard error of each variable that looks like a setting and is none.

    It may be meant for another version or program: nothing fails for it.
    """
    for wrong in unknown():
        errors.print(f"Warning: {wrong}", style="yellow", markup=False)


def read_settings() -> Settings:
    """The environment's settings; what looks like one and is none is told.

    Raises:
        ConfigurationError: see :func:`bot.settings.from_environment`.
    """
    warn_of_unknown_settings()
    return from_environment()


def open_installation(settings: Settings | None = None) -> Installation:
    """The installation of these settings, or the environment's; notices go to standard error."""
    return Installation(
        settings or read_settings(),
        notify=note,
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

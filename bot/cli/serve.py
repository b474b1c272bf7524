"""``serve`` and ``doctor``."""

import typer

from bot.settings import Settings


def register(app: typer.Typer) -> None: ...
def run_bot(settings: Settings) -> None: ...

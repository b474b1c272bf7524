"""Commands on the database: ``db upgrade|backup``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bot.cli.opening import read_settings
from bot.cli.output import console, note
from bot.copies import save_copy
from bot.installation import make_home, open_database
from bot.upgrades import in_turn
from retriever.store.database import Database

db = typer.Typer(help="Look after the database.", no_args_is_help=True)


@db.command()
def upgrade() -> None:
    """Make the database, or bring its schema up to this program's, after a copy of it."""
    settings = read_settings()
    make_home(settings)
    database = open_database(settings)
    try:
        with in_turn(settings.home, waiting=tell_of_another):
            before, after = database.upgrade(
                first=partial(copy_first, database, settings.backups_folder)
            )
    finally:
        database.close()
    if before is None:
        console.print(Text(f"Made a new database (schema {after}): {database.name}"))
    elif before == after:
        console.print(Text(f"The database is up to date (schema {after})"))
    else:
        console.print(Text(f"The database went from schema {before} to {after}"))


def tell_of_another() -> None:
    """Tell that another process upgrades the database, and that this one waits for it."""
    note("another spanbot db upgrade is under way; waiting until it is done")


def copy_first(database: Database, folder: Path, revision: str) -> None:
    """Save a copy of a database that is to be upgraded, and tell where it is, or that none is."""
    copy = save_copy(database, folder, revision)
    if copy is None:
        note(f"no copy of {database.name} was made: it is no SQLite file")
    else:
        console.print(Text(f"Saved a copy of the database as it was: {copy}"))


@db.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
) -> None:
    """Write a copy of the database, in use or not yet upgraded; no existing file is replaced."""
    database = open_database(read_settings())
    try:
        database.check_schema(older=True)  # before the upgrade, a copy is wanted most
        database.backup(target)
    finally:
        database.close()
    console.print(Text(f"Wrote {target} ({target.stat().st_size:,} bytes)"))

"""Commands on the database: ``db upgrade|backup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bot.cli.opening import read_settings
from bot.cli.output import console
from bot.installation import make_home, open_database

db = typer.Typer(help="Look after the database.", no_args_is_help=True)


@db.command()
def upgrade() -> None:
    """Make the database, or bring its schema up to this program's."""
    settings = read_settings()
    make_home(settings)
    database = open_database(settings)
    try:
        before, after = database.upgrade()
    finally:
        database.close()
    if before is None:
        console.print(Text(f"Made a new database (schema {after}): {database.name}"))
    elif before == after:
        console.print(Text(f"The database is up to date (schema {after})"))
    else:
        console.print(Text(f"The database went from schema {before} to {after}"))


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

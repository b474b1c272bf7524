"""The copy of the database that is saved before its upgrade: upgrades go one way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bot.errors import SpanbotError
from retriever.errors import StoreError
from retriever.store.database import Database


def save_copy(database: Database, folder: Path, revision: str) -> Path | None:
    """Copy the database, of this revision, to a new file in a folder, which is made if need be.

    Returns:
        The file; None for a database that is no SQLite file, of which no copy is made.

    Raises:
        SpanbotError: the copy cannot be written. There is none then, and no upgrade may follow.
    """
    if database.path is None:
        return None
    copy = folder / f"spanbot-{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.db"
    try:
        # As private as the home folder is where spanbot makes it.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        database.backup(copy)
    except (OSError, StoreError) as error:
        raise SpanbotError(
            f"the database {database.name} was not upgraded: no copy of it can be saved first; "
            f"{_reason(folder, error)}"
        ) from error
    return copy


def _reason(folder: Path, error: OSError | StoreError) -> str:
    if isinstance(error, OSError):
        return f"the folder {folder} cannot be made: {error.strerror or error}"
    return str(error)

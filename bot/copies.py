"""The copy of the database that is saved before its upgrade: upgrades go one way."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bot.errors import SpanbotError
from retriever.errors import StoreError
from retriever.store.database import Database


def save_copy(database: Database, folder: Path, revision: str) -> Path | None:
    """Copy the database, of this revision, to a new file in a folder, which is made if need be.

    Nobody else may write the database, or copy it, meanwhile.

    Returns:
        The file; None for a database that is no SQLite file, of which no copy is made.

    Raises:
        SpanbotError: the copy cannot be written. There is none then, and no upgrade may follow.
    """
    if database.path is None:
        return None
    refused = f"the database {database.name} was not upgraded: no copy of it can be saved first"
    # The place is fixed, but may lead elsewhere.
    remedy = (
        f"make {folder} a folder that spanbot can write, with room for the copy, or a link to one; "
        "then run: spanbot db upgrade"
    )
    try:
        # As private as the home folder is where spanbot makes it.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise SpanbotError(
            f"{refused}; the folder {folder} cannot be made: {reason}; {remedy}"
        ) from error
    # What a process that was killed meanwhile has left: only one at a time copies into the folder.
    for part in folder.glob(".spanbot-*.part*"):
        with suppress(OSError):
            part.unlink()
    copy = folder / f"spanbot-{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.db"
    try:
        database.backup(copy, remedy=remedy)
    except StoreError as error:
        raise SpanbotError(f"{refused}; {error}") from error
    return copy

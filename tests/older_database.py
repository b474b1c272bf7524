"""A database as the first release made it, and what a database holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

#: Its statements, with rows in every table.
FIRST = Path(__file__).parent / "data" / "database_0001.sql"


def make_first(path: Path) -> None:
    """Make a database of the first schema; its folder is there."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST.read_text(encoding="utf-8"))


def dump(path: Path) -> list[str]:
    """The statements that would make a database anew."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())

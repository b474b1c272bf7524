"""The schema's revision: which one a database has, and bringing it to this program's.

Alembic takes about a second to import, so it is imported where it is needed: not for a database
that is up to date.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from migrations import HEAD
from retriever.errors import SchemaError, StoreError
from retriever.store import faults

if TYPE_CHECKING:
    from alembic.config import Config

#: The package, or folder, that holds the migrations.
SCRIPTS = "migrations:"

# Alembic hands its environment to env.py through module globals, so one upgrade at a time.
_ALEMBIC = threading.Lock()

# Any number will do as long as it never changes.
_POSTGRESQL_LOCK = 7_237_126_514


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; ``connection`` is the one that migrations/env.py works on."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS.replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def revision(connection: Connection) -> str | None:
    """The revision that a database is at; ``None`` before its first."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    rows = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return ", ".join(sorted(rows)) or None


def check(connection: Connection, store: str, *, older: bool = False) -> None:
    """Make sure that a database is at :data:`migrations.HEAD`.

    Args:
        older: an earlier revision will do, but no database without tables.

    Raises:
        SchemaError: it is behind, or newer than this program.
    """
    found = revision(connection)
    if found == HEAD or (older and found in _known_revisions()):
        return
    raise _problem(found, store)


def upgrade(
    connection: Connection, store: str, *, first: Callable[[str], object] | None = None
) -> tuple[str | None, str]:
    """Bring a database to the newest revision, inside the connection's transaction.

    Args:
        first: called with an older database's revision before anything is changed.

    Returns:
        The revision before and after.

    Raises:
        SchemaError: the database is newer than this program.
        StoreError: the file holds another program's tables, or a migration left rows that refer
            to nothing. The caller's transaction must then be rolled back.
    """
    if connection.dialect.name == "postgresql":
        # On SQLite the caller's BEGIN IMMEDIATE lets one process at a time through.
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK}
        ).close()
    before = revision(connection)
    if before is None and connection.dialect.name == "sqlite":
        others = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
        if others:
            raise StoreError(
                f"{store} holds another program's tables ({', '.join(others[:5])}); "
                "name another file for spanbot's database"
            )
    from alembic import command
    from alembic.util import CommandError

    if before is not None and before not in _known_revisions():
        raise faults.newer(store, before)
    if first is not None and before is not None and before != HEAD:
        first(before)
    with _ALEMBIC:
        try:
            command.upgrade(alembic_config(connection), "head")
        except CommandError as error:
            raise StoreError(f"the database {store} cannot be upgraded: {error}") from error
    after = revision(connection)
    if after is None:
        raise StoreError(f"the database {store} has no revision after its upgrade")
    return before, after


def _known_revisions() -> frozenset[str]:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config())
    return frozenset(script.revision for script in scripts.walk_revisions())


def _problem(found: str | None, store: str) -> SchemaError:
    if found is None or found in _known_revisions():
        return faults.behind(store, found, HEAD)
    return faults.newer(store, found)

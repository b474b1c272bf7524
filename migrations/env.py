"""Alembic runs this file to run the migrations.

It works on the connection it is handed, inside that connection's transaction: either all
migrations up to the newest one are committed by whoever began it, or none. Without a connection
(Alembic's offline mode) it writes the statements out for ``sqlalchemy.url`` instead.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from retriever.store.models import Base, UtcDateTime


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Our own types as what they are in the database, so that migrations stand on their own."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run_on(connection: Connection) -> None:
    """Run the migrations in the transaction of ``connection``.

    Raises:
        CommandError: SQLite enforces foreign keys on this connection, or the migrations left rows
            that refer to nothing, or a table whose ids could be used twice.
    """
    sqlite = connection.dialect.name == "sqlite"
    if sqlite and connection.scalar(text("PRAGMA foreign_keys")):
        # Too late to turn them off: inside a transaction the pragma does nothing.
        raise CommandError(
            "foreign keys are on, and a rebuilt table would take every row that refers to it "
            "along; run: spanbot db upgrade"
        )
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=sqlite,
        render_item=render_item,
        transactional_ddl=True,
    )
    counters = _counters(connection) if sqlite else {}
    with context.begin_transaction():
        context.run_migrations()
    if sqlite:
        _restore_counters(connection, counters)
        broken = connection.execute(text("PRAGMA foreign_key_check")).all()
        if broken:
            table, row, parent, _ = broken[0]
            raise CommandError(
                f"{len(broken)} rows refer to nothing, the first is row {row} of {table}, which "
                f"names a missing row of {parent}; nothing was changed"
            )


def _counters(connection: Connection) -> dict[str, int]:
    """The highest id ever given out, by table, where ids are never used twice."""
    if not inspect(connection).has_table("sqlite_sequence"):
        return {}
    rows = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
    return {row.name: row.seq for row in rows}


def _restore_counters(connection: Connection, counters: dict[str, int]) -> None:
    """A rebuilt table counts on from the rows it has, and would give ids of deleted rows again."""
    for name in counters.keys() & set(inspect(connection).get_table_names()):
        kept = connection.execute(
            text(
                "UPDATE sqlite_sequence SET seq = max(seq, :seq) WHERE name = :name RETURNING name"
            ),
            {"name": name, "seq": counters[name]},
        ).all()
        if not kept:
            raise CommandError(
                f"{name} was rebuilt without AUTOINCREMENT; give batch_alter_table "
                'table_kwargs={"sqlite_autoincrement": True}'
            )


def write_out() -> None:
    """Write the migrations out as SQL for the dialect of ``sqlalchemy.url``."""
    context.configure(
        url=context.config.get_main_option("sqlalchemy.url"),
        target_metadata=Base.metadata,
        literal_binds=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write_out()
else:
    given = context.config.attributes.get("connection")
    if given is None:
        raise CommandError("there is no connection to migrate; run: spanbot db upgrade")
    run_on(given)

"""``python -m migrations "what changes"``: write a new migration; see ``migrations``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from retriever.store.database import Database
from retriever.store.schema import alembic_config


def new_migration(message: str) -> Path:
    """Write the migration that leads from the newest one to the models; where it was written."""
    from alembic import command

    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/scratch.db")
        try:
            _, newest = database.upgrade()
            with database.migrating() as connection:
                written = command.revision(
                    alembic_config(connection),
                    message,
                    autogenerate=True,
                    rev_id=f"{int(newest) + 1:04d}",
                )
        finally:
            database.close()
    assert written is not None
    assert not isinstance(written, list)
    return Path(written.path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('usage: python -m migrations "what changes"')
    new_migration(sys.argv[1])

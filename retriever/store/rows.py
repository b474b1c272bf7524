"""What the modules of this package share in finding and adding rows."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from retriever.store.models import Base

Row = TypeVar("Row", bound=Base)

#: So many ids are asked for at once: fewer than SQLite's smallest limit of bound values.
ID_CHUNK = 500


def found_or_added(session: Session, query: Select[Row], new: Row) -> Row:
    """The row that a query finds, or ``new``, added.

    Where writers do not come one at a time, another may add the same row after this one has
    looked: the unique constraint then says so, and that one's row is found.
    """
    found = session.scalar(query)
    if found is not None:
        return found
    try:
        with session.begin_nested():
            session.add(new)
    except IntegrityError:
        found = session.scalar(query)
        if found is None:  # it was no other writer
            raise
        return found
    return new
